// Linear layers with tiles. A block is two tiles of tokens by two of outputs: four of sums, and in each step two of
// activations and two of weights, 64 bytes of inputs deep.
//
// Tiles and vectors are computed by different units. So the sums of a block go to memory, and what follows them (scales,
// bias, GELU, rounding) is done a few rows at a time between the steps of the next block.
//
// A token's sums depend on no other row of the tile: whatever lies beyond the last token is computed and left.
#pragma once

#include "amx_tiles.h"
#include "linear.h"

namespace efive {

template <class I, class T>
struct TiledBf16 : Bf16<I> {
    using Tiles = T;

    template <int C, int A, int B>
    static EFIVE_INLINE void dot_tiles(T& tiles) {
        tiles.template dot_bf16<C, A, B>();
    }
};

template <class I, class T>
struct TiledInt8 : Int8<I> {
    using Tiles = T;

    template <int C, int A, int B>
    static EFIVE_INLINE void dot_tiles(T& tiles) {
        tiles.template dot_int8<C, A, B>();
    }
};

inline constexpr int kTileSide = 16;
inline constexpr int kStepBytes = 64;
inline constexpr int kTileBytes = kTileSide * kStepBytes;

/// Weights are blocks of two tiles of outputs (one in the last), in those come the steps of inputs, and a row of a tile
/// is one group of inputs of 16 outputs. Inputs are filled up to whole steps with zeros.
template <class F>
std::size_t packed_position(const Linear& layer, int output, int input) {
    constexpr int size = sizeof(typename F::Value);
    const int first = output / (2 * kTileSide) * (2 * kTileSide);
    const int tiles = layer.outputs - first > kTileSide ? 2 : 1;
    const int step = input * size / kStepBytes, group = input / F::kGroup % kTileSide;
    return first * row_bytes(layer.inputs, size) + (step * tiles + (output - first) / kTileSide) * kTileBytes +
           group * kStepBytes + output % kTileSide * 4 + input % F::kGroup * size;
}

template <class I, class F>
void pack_tiles(const float* matrix, const Linear& layer) {
    using Value = typename F::Value;
    std::memset(layer.weights, 0, layer.outputs * row_bytes(layer.inputs, sizeof(Value)));
    for (int o = 0; o < layer.outputs; ++o) {
        const float* row = matrix + std::size_t(o) * layer.inputs;
        [[maybe_unused]] float inverse = 1;
        if constexpr (kQuantised<F>) inverse = scale_weights<I>(row, o, layer);
        for (int i = 0; i < layer.inputs; ++i) {
            Value value;
            if constexpr (kQuantised<F>)
                value = inverse == 0 ? 0 : static_cast<Value>(__builtin_rintf(row[i] * inverse));
            else
                value = F::from_float(row[i]);
            std::memcpy(layer.weights + packed_position<F>(layer, o, i), &value, sizeof(Value));
        }
    }
}

/// Where the sums of blocks wait. Apart from what computes them: the compiler must expect that tiles write all memory
/// whose address they were given, and keeps the rest in registers.
struct TileSums {
    static constexpr int kSide = 2 * kTileSide;

    alignas(64) float blocks[2][kSide * kSide];
    alignas(64) float totals[kSide * kSide];  ///< int8 only
};

/// A range of a layer: outputs from `first` to `end`, and `steps` steps of inputs from `step` on.
struct Part {
    int first, end;
    int step, steps;
};

/// Products of some rows with a part of a layer's weights: done(row, first column, sums) for each vector of outputs,
/// where int8's sums still lack the scale of the output.
template <class I, class F, class Done>
class TiledProduct {
public:
    EFIVE_INLINE TiledProduct(Rows in, int rows, const Linear& layer, Part part, const Done& done, TileSums& memory)
        : in_(in), rows_(rows), layer_(layer), part_(part), done_(done), memory_(memory) {}

    EFIVE_INLINE void run() {
        int column = part_.first;
        for (; column + kSide <= part_.end; column += kSide) down<2>(column);
        if (column < part_.end) down<1>(column);
        finish(kSide);
    }

private:
    static constexpr int kSide = TileSums::kSide;
    /// Steps whose sums share a scale.
    static constexpr int kScaledSteps = kBlock / kStepBytes;

    /// Sums in memory that are not finished.
    struct Waiting {
        const float* sums;
        int row, rows, column, vectors;
        int scale;  ///< which block of inputs
        bool first, last;
        int next;  ///< row of the block
    };

    template <int C>
    EFIVE_INLINE void down(int column) {
        for (int row = 0; row < rows_; row += kSide)
            if (rows_ - row > kTileSide)
                block<2, C>(row, column);
            else
                block<1, C>(row, column);
    }

    /// R x C tiles. int8 leaves the tiles after every block of inputs, because the next has other scales.
    template <int R, int C>
    EFIVE_INLINE void block(int row, int column) {
        const int rows = rows_ - row < R * kTileSide ? rows_ - row : R * kTileSide;
        const int most = kQuantised<F> ? kScaledSteps : part_.steps, end = part_.step + part_.steps;
        for (int step = part_.step; step < end; step += most) {
            const int here = end - step < most ? end - step : most;
            accumulate<R, C>(row, column, step, here);
            float* sums = memory_.blocks[turn_ ^= 1];
            store_tiles<R, C>(sums);
            waiting_ = {sums, row, rows, column, C, step / kScaledSteps, step == part_.step, step + here == end, 0};
        }
    }

    template <int R, int C>
    EFIVE_INLINE void accumulate(int row, int column, int step, int steps) {
        const std::uint8_t* rows = in_.data + step * in_.stride + row * kStepBytes;
        const std::uint8_t* weights = layer_.weights + column * row_bytes(layer_.inputs, sizeof(typename F::Value)) +
                                      std::size_t(step) * C * kTileBytes;
        const int share = (waiting_.rows + steps - 1) / steps;
        zero_tiles<R, C>();
        for (int s = 0; s < steps; ++s, rows += in_.stride, weights += C * kTileBytes) {
            tiles_.template load<4>(rows, kStepBytes);
            tiles_.template load<6>(weights, kStepBytes);
            F::template dot_tiles<0, 4, 6>(tiles_);
            if constexpr (C > 1) {
                tiles_.template load<7>(weights + kTileBytes, kStepBytes);
                F::template dot_tiles<1, 4, 7>(tiles_);
            }
            if constexpr (R > 1) {
                tiles_.template load<5>(rows + kTileBytes, kStepBytes);
                F::template dot_tiles<2, 5, 6>(tiles_);
            }
            if constexpr (R > 1 && C > 1) F::template dot_tiles<3, 5, 7>(tiles_);
            finish(share);
        }
    }

    template <int R, int C>
    EFIVE_INLINE void zero_tiles() {
        tiles_.template zero<0>();
        if constexpr (C > 1) tiles_.template zero<1>();
        if constexpr (R > 1) tiles_.template zero<2>();
        if constexpr (R > 1 && C > 1) tiles_.template zero<3>();
    }

    template <int R, int C>
    EFIVE_INLINE void store_tiles(float* sums) {
        constexpr std::size_t stride = kSide * 4;
        tiles_.template store<0>(sums, stride);
        if constexpr (C > 1) tiles_.template store<1>(sums + kTileSide, stride);
        if constexpr (R > 1) tiles_.template store<2>(sums + kTileSide * kSide, stride);
        if constexpr (R > 1 && C > 1) tiles_.template store<3>(sums + kTileSide * kSide + kTileSide, stride);
    }

    /// Up to `count` more rows of what waits.
    EFIVE_INLINE void finish(int count) {
        const int end = waiting_.rows - waiting_.next < count ? waiting_.rows : waiting_.next + count;
        for (; waiting_.next < end; ++waiting_.next) {
            finish_vector(waiting_.next, 0);
            if (waiting_.vectors > 1) finish_vector(waiting_.next, 1);
        }
    }

    EFIVE_INLINE void finish_vector(int r, int vector) {
        const int row = waiting_.row + r, column = waiting_.column + vector * I::kLanes;
        const float* sums = waiting_.sums + r * kSide + vector * I::kLanes;
        if constexpr (kQuantised<F>) {
            const auto scale = I::set(in_.scales[row * blocks_of(layer_.inputs) + waiting_.scale]);
            const auto whole = I::to_floats(I::load_bits(reinterpret_cast<const std::uint8_t*>(sums)));
            float* total = memory_.totals + r * kSide + vector * I::kLanes;
            const auto sum = waiting_.first ? I::mul(whole, scale) : I::fma(whole, scale, I::load(total));
            if (waiting_.last)
                done_(row, column, sum);
            else
                I::store(total, sum);
        } else {
            done_(row, column, I::load(sums));
        }
    }

    const Rows in_;
    const int rows_;
    const Linear layer_;
    const Part part_;
    const Done done_;
    TileSums& memory_;
    Waiting waiting_{};
    int turn_ = 0;
    typename F::Tiles tiles_;
};

/// What rows hold beyond their inputs meets weights of zero, and must not be NaN.
template <class F>
void clear_tails(Rows in, int rows, int inputs) {
    const int bytes = inputs * sizeof(typename F::Value);
    if (bytes % kStepBytes == 0) return;
    for (int row = 0; row < rows; ++row) std::memset(place<F>(in, row, inputs), 0, kStepBytes - bytes % kStepBytes);
}

/// done(row, first column, floats) for the products of a part, bias included if it has the first step.
template <class I, class F, class Done>
EFIVE_INLINE void apply_part(Rows in, int rows, const Linear& layer, Part part, const Done& done) {
    const auto finished = [&](int row, int column, typename I::Floats sums) EFIVE_LAMBDA {
        const auto bias = part.step ? I::set(0) : I::load(layer.bias + column);
        if constexpr (kQuantised<F>)
            done(row, column, I::fma(sums, I::load(layer.scales + column), bias));
        else
            done(row, column, I::add(sums, bias));
    };
    TileSums memory;
    TiledProduct<I, F, decltype(finished)>(in, rows, layer, part, finished, memory).run();
}

template <class F>
int steps_of(const Linear& layer) {
    return static_cast<int>(row_bytes(layer.inputs, sizeof(typename F::Value)) / kStepBytes);
}

/// What `project` and `expand` of table.h call for tiles.
template <class I, Tiled F, class Done>
EFIVE_INLINE void apply(Rows in, int rows, const Linear& layer, int first, int end, const Done& done) {
    clear_tails<F>(in, rows, layer.inputs);
    apply_part<I, F>(in, rows, layer, {first, end, 0, steps_of<F>(layer)}, done);
}

/// The deepest layers, a dozen steps at a time: the weights of a block then stay in the first-level cache for all rows.
template <class I, class F>
void add_tiles(Rows in, int rows, const Linear& layer, float* x) {
    constexpr int kDeepest = 12;
    const int steps = steps_of<F>(layer);
    clear_tails<F>(in, rows, layer.inputs);
    for (int step = 0; step < steps; step += kDeepest)
        apply_part<I, F>(in, rows, layer, {0, layer.outputs, step, steps - step < kDeepest ? steps - step : kDeepest},
                         [&](int row, int column, typename I::Floats y) EFIVE_LAMBDA {
                             float* target = x + std::size_t(row) * layer.outputs + column;
                             I::store(target, I::add(I::load(target), y));
                         });
}

}  // namespace efive

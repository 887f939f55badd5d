// Matrix products: packing of weights, register tiles, and the linear layers with what follows them fused.
//
// Packed weights are a sequence of column tiles; within one, for every group of inputs, kTileVectors vectors of
// outputs (fewer in the last). A tile of kTileRows tokens then reads its weights strictly forward.
//
// Every output is summed over the inputs in the same order whatever tile it falls into, so a token's result does not
// depend on its neighbours.
#pragma once

#include "formats.h"
#include "functions.h"
#include "kernels.h"

namespace efive {

/// What a matrix product reads.
struct Operands {
    const std::uint8_t* rows;
    std::size_t stride;  ///< bytes from row to row
    const std::uint8_t* weights;
    int vectors;  ///< columns in vectors
    int groups;   ///< of inputs
    // int8 only, see Rows and Linear:
    const float* scales = nullptr;
    const std::int32_t* correction = nullptr;
};

/// sums += products of R rows and C vectors of columns over `groups`.
template <class I, class F, int R, int C>
EFIVE_INLINE void accumulate(typename F::Sums (&sums)[R][C], const std::uint8_t* rows, std::size_t stride,
                             const std::uint8_t* weights, int groups) {
#pragma GCC unroll 1
    for (int g = 0; g < groups; ++g) {
        typename I::Bits w[C];
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) w[c] = I::load_bits(weights + (g * C + c) * I::kLanes * 4);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const auto x = I::repeat(rows + r * stride + 4 * g);
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) sums[r][c] = F::dot(sums[r][c], x, w[c]);
        }
    }
}

/// R rows from `row` on, C vectors of columns from `vector` on: done(row, first column, floats) for each.
///
/// A function of its own, because in a larger one GCC 12 keeps accumulators in memory.
template <class I, class F, int R, int C, class Done>
[[gnu::noinline]] void tile(const Operands& p, int row, int vector, const Done& done) {
    const std::uint8_t* rows = p.rows + row * p.stride;
    const std::uint8_t* weights = p.weights + std::size_t(vector) * p.groups * I::kLanes * 4;
    typename F::Sums sums[R][C];
    [[maybe_unused]] typename I::Floats totals[R][C];
    const int step = kQuantised<F> ? kBlock / F::kGroup : p.groups;
    for (int g = 0; g < p.groups; g += step) {
        const int block = g / step;
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c)
                if constexpr (kQuantised<F>) {
                    const std::int32_t* start = p.correction + (std::size_t(block) * p.vectors + vector + c) * I::kLanes;
                    sums[r][c] = I::load_bits(reinterpret_cast<const std::uint8_t*>(start));
                } else {
                    sums[r][c] = F::zero();
                }
        const int here = p.groups - g < step ? p.groups - g : step;
        accumulate<I, F, R, C>(sums, rows + 4 * g, p.stride, weights + std::size_t(g) * C * I::kLanes * 4, here);
        if constexpr (kQuantised<F>) {
            const int blocks = blocks_of(p.groups * F::kGroup);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) {
                const auto scale = I::set(p.scales[std::size_t(row + r) * blocks + block]);
#pragma GCC unroll 8
                for (int c = 0; c < C; ++c) {
                    const auto whole = I::to_floats(sums[r][c]);
                    totals[r][c] = block ? I::fma(whole, scale, totals[r][c]) : I::mul(whole, scale);
                }
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c)
            if constexpr (kQuantised<F>)
                done(row + r, (vector + c) * I::kLanes, totals[r][c]);
            else
                done(row + r, (vector + c) * I::kLanes, sums[r][c]);
}

/// `tile` for a count of rows that is known at run time only, at most kTileRows.
template <class I, class F, int C, int R = I::kTileRows, class Done>
EFIVE_INLINE void tile_rows(const Operands& p, int row, int count, int vector, const Done& done) {
    if constexpr (R > 0) {
        if (count == R)
            tile<I, F, R, C>(p, row, vector, done);
        else
            tile_rows<I, F, C, R - 1>(p, row, count, vector, done);
    }
}

/// All products of `count` rows with the columns `vector` to `end`: done(row, first column, floats) for each vector.
template <class I, class F, int C = I::kTileVectors, class Done>
EFIVE_INLINE void multiply(const Operands& p, int count, int vector, int end, const Done& done) {
    for (; vector + C <= end; vector += C)
        for (int row = 0; row < count; row += I::kTileRows)
            tile_rows<I, F, C>(p, row, count - row < I::kTileRows ? count - row : I::kTileRows, vector, done);
    if constexpr (C > 1)
        if (vector < end) multiply<I, F, C - 1>(p, count, vector, end, done);
}

/// Where the values of column `column` lie in packed weights; its groups follow each other at `step` bytes.
template <class I>
struct PackedColumn {
    std::size_t start;
    std::size_t step;

    PackedColumn(int column, int vectors, int groups) {
        const int vector = column / I::kLanes, first = vector / I::kTileVectors * I::kTileVectors;
        const int width = vectors - first < I::kTileVectors ? vectors - first : I::kTileVectors;
        step = std::size_t(width) * I::kLanes * 4;
        start = std::size_t(first) * groups * I::kLanes * 4 + ((vector - first) * I::kLanes + column % I::kLanes) * 4;
    }
};

/// int8: one scale for each output, so that its largest weight is 127. Returns what weights are multiplied with.
template <class I>
float scale_weights(const float* row, int output, const Linear& layer) {
    float largest = 0;
    bool finite = true;
    for (int i = 0; i < layer.inputs; ++i) {
        const float size = __builtin_fabsf(row[i]);
        finite &= size <= __FLT_MAX__;
        largest = size > largest ? size : largest;
    }
    layer.scales[output] = finite ? largest / 127 : __builtin_nanf("");  // damaged weights must show in the result
    for (int block = 0; block < blocks_of(layer.inputs); ++block) layer.correction[block * layer.outputs + output] = 0;
    return finite && largest > 1e-30f ? 127 / largest : 0;
}

template <class I, class F>
void pack(const float* matrix, const Linear& layer) {
    using Value = typename F::Value;
    const int groups = layer.inputs / F::kGroup;
    for (int o = 0; o < layer.outputs; ++o) {
        const float* row = matrix + std::size_t(o) * layer.inputs;
        const PackedColumn<I> column(o, layer.outputs / I::kLanes, groups);
        [[maybe_unused]] float inverse = 1;
        if constexpr (kQuantised<F>) inverse = scale_weights<I>(row, o, layer);
        for (int i = 0; i < layer.inputs; ++i) {
            Value value;
            if constexpr (kQuantised<F>) {
                value = inverse == 0 ? 0 : static_cast<Value>(__builtin_rintf(row[i] * inverse));
                layer.correction[i / kBlock * layer.outputs + o] -= I::kOffset * value;
            } else {
                value = F::from_float(row[i]);
            }
            std::uint8_t* group = layer.weights + column.start + i / F::kGroup * column.step;
            std::memcpy(group + i % F::kGroup * sizeof(Value), &value, sizeof(Value));
        }
    }
}

/// Outputs `first` to `end` of layer(in): done(row, first column, floats) for each vector of them.
template <class I, class F, class Done>
EFIVE_INLINE void apply(Rows in, int rows, const Linear& layer, int first, int end, const Done& done) {
    const Operands operands{in.data,   in.stride,       layer.weights, layer.outputs / I::kLanes, layer.inputs / F::kGroup,
                            in.scales, layer.correction};
    const auto finish = [&](int row, int column, typename I::Floats sums) EFIVE_LAMBDA {
        const auto bias = I::load(layer.bias + column);
        if constexpr (kQuantised<F>)
            done(row, column, I::fma(sums, I::load(layer.scales + column), bias));
        else
            done(row, column, I::add(sums, bias));
    };
    multiply<I, F>(operands, rows, first / I::kLanes, end / I::kLanes, finish);
}

}  // namespace efive

// Fills the table of kernels of one instruction set: I its trait, F the format of linear layers, A that of attention.
#pragma once

#include "attention.h"
#include "linear.h"
#include "rowwise.h"

namespace efive {

template <class I, class F, class A>
void project(Rows in, int rows, const Linear& layer, std::uint8_t* out) {
    constexpr std::size_t size = sizeof(typename A::Value);
    apply<I, F>(in, rows, layer, 0, layer.outputs, [&](int row, int column, typename I::Floats x) EFIVE_LAMBDA {
        A::store(out + (std::size_t(row) * layer.outputs + column) * size, x);
    });
}

/// int8: a block's scale is known when the block is complete, which is while it is in the first-level cache.
template <class I, class F>
void expand(Rows in, int rows, const Linear& layer, float* scratch, Rows out) {
    static_assert(kBlock % (I::kTileVectors * I::kLanes) == 0, "blocks begin with a column tile");
    const int step = kQuantised<F> ? kBlock : layer.outputs, blocks = blocks_of(layer.outputs);
    for (int first = 0; first < layer.outputs; first += step) {
        const int end = kQuantised<F> ? end_of_block(first, layer.outputs) : layer.outputs;
        apply<I, F>(in, rows, layer, first, end, [&](int row, int column, typename I::Floats x) EFIVE_LAMBDA {
            if constexpr (kQuantised<F>)
                I::store(scratch + row * kBlock + column - first, gelu<I>(x));
            else
                F::store(place<F>(out, row, column), gelu<I>(x));
        });
        if constexpr (kQuantised<F>)
            for (int row = 0; row < rows; ++row)
                out.scales[row * blocks + first / kBlock] =
                    quantise<I, F>(scratch + row * kBlock, end - first, out, row, first);
    }
}

template <class I, class F>
void add(Rows in, int rows, const Linear& layer, float* x) {
    apply<I, F>(in, rows, layer, 0, layer.outputs, [&](int row, int column, typename I::Floats y) EFIVE_LAMBDA {
        float* target = x + std::size_t(row) * layer.outputs + column;
        I::store(target, I::add(I::load(target), y));
    });
}

/// Tokens that go through one layer together: a multiple of every tile, and few enough that their widest activations
/// stay in the second-level cache.
inline constexpr int kChunk = 96;

template <class I, class F, class A>
inline constexpr Kernels kTable{
    I::kTileRows,
    kChunk,
    false,
    sizeof(typename F::Value),
    sizeof(typename A::Value),
    pack<I, F>,
    norm<I, F>,
    convert<I, F>,
    project<I, F, A>,
    expand<I, F>,
    add<I, F>,
    attend<I, A>,
};

}  // namespace efive

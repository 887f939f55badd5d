// Fills the table of kernels of one instruction set: I its trait, F the format of linear layers, A that of attention.
#pragma once

#include "attention.h"
#include "linear.h"
#include "rowwise.h"

namespace efive {

template <class I, class F, class A>
void project(Rows in, int rows, const Linear& layer, std::uint8_t* out) {
    constexpr std::size_t size = sizeof(typename A::Value);
    apply<I, F>(in, rows, layer, [&](int row, int column, typename I::Floats x) EFIVE_LAMBDA {
        A::store(out + (std::size_t(row) * layer.outputs + column) * size, x);
    });
}

template <class I, class F>
void expand(Rows in, int rows, const Linear& layer, float* scratch, Rows out) {
    apply<I, F>(in, rows, layer, [&](int row, int column, typename I::Floats x) EFIVE_LAMBDA {
        if constexpr (kQuantised<F>)  // a row's scale is known when the row is complete
            I::store(scratch + std::size_t(row) * layer.outputs + column, gelu<I>(x));
        else
            F::store(place<F>(out, row, column), gelu<I>(x));
    });
    if constexpr (kQuantised<F>) convert<I, F>(scratch, rows, layer.outputs, out);
}

template <class I, class F>
void add(Rows in, int rows, const Linear& layer, float* x) {
    apply<I, F>(in, rows, layer, [&](int row, int column, typename I::Floats y) EFIVE_LAMBDA {
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

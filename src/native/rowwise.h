// What is computed token by token: layer norm, and the conversion of floats into the format of matrix products.
#pragma once

#include "formats.h"
#include "kernels.h"

namespace efive {

/// Writes codes of up to kBlock values to row `row` of `out` from column `first` on, and returns the scale:
/// value = code * scale.
template <class I, class F>
EFIVE_INLINE float quantise(const float* x, int width, Rows out, int row, int first) {
    auto largest = I::no_bits();
    for (int i = 0; i < width; i += I::kLanes) largest = I::max_size(largest, I::load(x + i));
    const float top = I::largest_size(largest);
    const auto inverse = I::set(top > 1e-30f ? 127 / top : 0);  // of less, the inverse would overflow
    for (int i = 0; i < width; i += I::kLanes)
        I::store_codes(place<F>(out, row, first + i), I::mul(I::load(x + i), inverse));
    return top / 127;
}

constexpr int end_of_block(int first, int width) { return first + kBlock < width ? first + kBlock : width; }

template <class I, class F>
EFIVE_INLINE void convert_row(const float* x, int width, Rows out, int row) {
    if constexpr (kQuantised<F>) {
        float* scale = out.scales + row * blocks_of(width);
        for (int first = 0; first < width; first += kBlock)
            *scale++ = quantise<I, F>(x + first, end_of_block(first, width) - first, out, row, first);
    } else {
        for (int i = 0; i < width; i += I::kLanes) F::store(place<F>(out, row, i), I::load(x + i));
    }
}

template <class I, class F>
void convert(const float* x, int rows, int width, Rows out) {
    for (int row = 0; row < rows; ++row) convert_row<I, F>(x + std::size_t(row) * width, width, out, row);
}

template <class I, class F>
void norm(float* x, int rows, int width, const Norm& norm, Rows out) {
    for (int row = 0; row < rows; ++row, x += width) {
        auto total = I::set(0);
        for (int i = 0; i < width; i += I::kLanes) total = I::add(total, I::load(x + i));
        const auto mean = I::set(I::sum(total) / width);
        auto squares = I::set(0);
        for (int i = 0; i < width; i += I::kLanes) {
            const auto centred = I::sub(I::load(x + i), mean);
            squares = I::fma(centred, centred, squares);
        }
        const auto factor = I::set(1 / __builtin_sqrtf(I::sum(squares) / width + norm.epsilon));
        for (int i = 0; i < width; i += I::kLanes) {
            const auto unit = I::mul(I::sub(I::load(x + i), mean), factor);
            I::store(x + i, I::fma(unit, I::load(norm.gain + i), I::load(norm.bias + i)));
        }
        convert_row<I, F>(x, width, out, row);
    }
}

}  // namespace efive

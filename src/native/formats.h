// The number formats of matrix products. Each treats 4 bytes as one group: one fp32, two bf16 or four int8 values
// along the inputs. Packing, tiles and attention are the same for all of them.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels.h"

namespace efive {

template <class I>
struct Fp32 {
    using Value = float;
    using Sums = typename I::Floats;
    static constexpr int kGroup = 1;

    static EFIVE_INLINE Sums zero() { return I::set(0); }
    static EFIVE_INLINE Sums dot(Sums acc, typename I::Bits x, typename I::Bits w) {
        return I::fma(I::as_floats(x), I::as_floats(w), acc);
    }
    static EFIVE_INLINE void store(std::uint8_t* p, typename I::Floats x) {
        I::store(reinterpret_cast<float*>(p), x);
    }
    /// kGroup rows of kLanes values each, transposed.
    static EFIVE_INLINE typename I::Bits columns(const std::uint8_t* const (&rows)[1]) { return I::load_bits(rows[0]); }
    static Value from_float(float x) { return x; }
};

template <class I>
struct Bf16 {
    using Value = std::uint16_t;
    using Sums = typename I::Floats;
    static constexpr int kGroup = 2;

    static EFIVE_INLINE Sums zero() { return I::set(0); }
    static EFIVE_INLINE Sums dot(Sums acc, typename I::Bits x, typename I::Bits w) { return I::dot_bf16(acc, x, w); }
    static EFIVE_INLINE void store(std::uint8_t* p, typename I::Floats x) { I::store_bf16(p, x); }
    static EFIVE_INLINE typename I::Bits columns(const std::uint8_t* const (&rows)[2]) {
        return I::interleave(rows[0], rows[1]);
    }
    /// Rounded to nearest, ties to even; NaN stays NaN.
    static Value from_float(float x) {
        std::uint32_t bits;
        std::memcpy(&bits, &x, 4);
        if (x != x) return static_cast<Value>(bits >> 16 | 0x40);
        return static_cast<Value>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
};

template <class I>
struct Int8 {
    using Value = std::int8_t;
    using Sums = typename I::Bits;
    static constexpr int kGroup = 4;

    static EFIVE_INLINE Sums zero() { return I::no_bits(); }
    static EFIVE_INLINE Sums dot(Sums acc, typename I::Bits x, typename I::Bits w) { return I::dot_int8(acc, x, w); }
};

template <class F>
inline constexpr bool kQuantised = F::kGroup == 4;

/// A format whose products are of tiles: amx_linear.h.
template <class F>
concept Tiled = requires { typename F::Tiles; };

/// Where value i of a row lies.
///
/// For tiles, activations are panels of 64 bytes of every row: the rows that a tile loads are neighbours in memory.
template <class F>
EFIVE_INLINE std::uint8_t* place(Rows rows, int row, int i) {
    const std::size_t byte = i * sizeof(typename F::Value);
    if constexpr (Tiled<F>) return rows.data + byte / 64 * rows.stride + row * 64 + byte % 64;
    return rows.data + row * rows.stride + byte;
}

}  // namespace efive

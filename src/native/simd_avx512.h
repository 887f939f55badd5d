// The vector trait of AVX-512 (F, BW, DQ, VL) with VNNI. A trait is all that the kernel templates know of a processor.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define EFIVE_INLINE inline __attribute__((always_inline))
#define EFIVE_LAMBDA __attribute__((always_inline))

namespace efive {

struct Avx512 {
    using Floats = __m512;
    using Bits = __m512i;  ///< 16 groups of 4 bytes: one fp32, two bf16 or four int8 each
    static constexpr int kLanes = 16;
    /// Rows x vectors of accumulators in a tile: 24 of 32 registers, four weights, one activation.
    static constexpr int kTileRows = 6;
    static constexpr int kTileVectors = 4;
    /// VNNI multiplies unsigned by signed bytes, so activations are stored with this offset.
    static constexpr int kOffset = 128;

    static EFIVE_INLINE Floats load(const float* p) { return _mm512_loadu_ps(p); }
    static EFIVE_INLINE void store(float* p, Floats x) { _mm512_storeu_ps(p, x); }
    static EFIVE_INLINE Floats set(float x) { return _mm512_set1_ps(x); }
    static EFIVE_INLINE Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
    static EFIVE_INLINE Floats sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
    static EFIVE_INLINE Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
    static EFIVE_INLINE Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
    static EFIVE_INLINE Floats min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
    static EFIVE_INLINE Floats max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
    static EFIVE_INLINE Floats abs(Floats a) { return _mm512_abs_ps(a); }
    static EFIVE_INLINE Floats round(Floats a) {
        return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    /// a * 2^n for whole n >= -126.
    static EFIVE_INLINE Floats scale(Floats a, Floats n) { return _mm512_scalef_ps(a, n); }
    /// The lanes below `count` of one, the others of the other.
    static EFIVE_INLINE Floats first_lanes(int count, Floats first, Floats others) {
        return _mm512_mask_mov_ps(others, static_cast<__mmask16>(count < 0 ? 0 : (1u << count) - 1), first);
    }
    static EFIVE_INLINE float sum(Floats a) { return _mm512_reduce_add_ps(a); }
    static EFIVE_INLINE float maximum(Floats a) { return _mm512_reduce_max_ps(a); }

    /// Bits of the larger of two sizes. Compared as whole numbers, which order like sizes and put NaN above all.
    static EFIVE_INLINE Bits max_size(Bits size, Floats a) {
        return _mm512_max_epi32(size, _mm512_castps_si512(_mm512_abs_ps(a)));
    }
    static EFIVE_INLINE float largest_size(Bits sizes) {
        const std::int32_t bits = _mm512_reduce_max_epi32(sizes);
        float size;
        std::memcpy(&size, &bits, 4);
        return size;
    }

    static EFIVE_INLINE Bits no_bits() { return _mm512_setzero_si512(); }
    static EFIVE_INLINE Bits load_bits(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
    static EFIVE_INLINE void store_bits(std::uint8_t* p, Bits a) { _mm512_storeu_si512(p, a); }
    /// The same 4 bytes in every lane.
    static EFIVE_INLINE Bits repeat(const std::uint8_t* p) {
        std::int32_t group;
        std::memcpy(&group, p, 4);
        return _mm512_set1_epi32(group);
    }
    static EFIVE_INLINE Floats as_floats(Bits a) { return _mm512_castsi512_ps(a); }
    /// acc + the sum of four products of bytes per lane, exact.
    ///
    /// Assembly, because GCC 12 copies every accumulator around the intrinsic (a loop at half the speed) and loads
    /// weights again for each row of a tile.
    static EFIVE_INLINE Bits dot_int8(Bits acc, Bits activations, Bits weights) {
        asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(activations), "v"(weights));
        return acc;
    }
    static EFIVE_INLINE Floats to_floats(Bits a) { return _mm512_cvtepi32_ps(a); }
    static EFIVE_INLINE Bits add_ints(Bits a, Bits b) { return _mm512_add_epi32(a, b); }
    /// Round to whole numbers and store them as bytes with the offset.
    static EFIVE_INLINE void store_codes(std::uint8_t* p, Floats a) {
        const __m512i codes = _mm512_add_epi32(_mm512_cvtps_epi32(a), _mm512_set1_epi32(kOffset));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(codes));
    }
};

}  // namespace efive

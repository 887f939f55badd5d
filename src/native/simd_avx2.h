// The vector trait of AVX2 with FMA.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define EFIVE_INLINE inline __attribute__((always_inline))
#define EFIVE_LAMBDA __attribute__((always_inline))

namespace efive {

struct Avx2 {
    using Floats = __m256;
    using Bits = __m256i;
    static constexpr int kLanes = 8;
    /// 12 of 16 registers, two weights, one activation.
    static constexpr int kTileRows = 6;
    static constexpr int kTileVectors = 2;
    static constexpr int kOffset = 0;

    static EFIVE_INLINE Floats load(const float* p) { return _mm256_loadu_ps(p); }
    static EFIVE_INLINE void store(float* p, Floats x) { _mm256_storeu_ps(p, x); }
    static EFIVE_INLINE Floats set(float x) { return _mm256_set1_ps(x); }
    static EFIVE_INLINE Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
    static EFIVE_INLINE Floats sub(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
    static EFIVE_INLINE Floats mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
    static EFIVE_INLINE Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
    static EFIVE_INLINE Floats min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
    static EFIVE_INLINE Floats max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
    static EFIVE_INLINE Floats abs(Floats a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
    static EFIVE_INLINE Floats round(Floats a) {
        return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    /// a * 2^n for whole n >= -126: n goes straight into the exponent of a factor.
    static EFIVE_INLINE Floats scale(Floats a, Floats n) {
        const Bits exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
    }
    /// The lanes below `count` of one, the others of the other.
    static EFIVE_INLINE Floats first_lanes(int count, Floats first, Floats others) {
        const Bits mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        return _mm256_blendv_ps(others, first, _mm256_castsi256_ps(mask));
    }
    static EFIVE_INLINE float sum(Floats a) {
        __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
    }
    static EFIVE_INLINE float maximum(Floats a) {
        __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        x = _mm_max_ps(x, _mm_movehl_ps(x, x));
        return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
    }

    /// Bits of the larger of two sizes. Compared as whole numbers, which order like sizes and put NaN above all.
    static EFIVE_INLINE Bits max_size(Bits size, Floats a) {
        return _mm256_max_epi32(size, _mm256_castps_si256(abs(a)));
    }
    static EFIVE_INLINE float largest_size(Bits sizes) {
        __m128i x = _mm_max_epi32(_mm256_castsi256_si128(sizes), _mm256_extracti128_si256(sizes, 1));
        x = _mm_max_epi32(x, _mm_shuffle_epi32(x, 0x4e));
        x = _mm_max_epi32(x, _mm_shuffle_epi32(x, 0xb1));
        return _mm_cvtss_f32(_mm_castsi128_ps(x));
    }

    static EFIVE_INLINE Bits no_bits() { return _mm256_setzero_si256(); }
    static EFIVE_INLINE Bits load_bits(const std::uint8_t* p) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    }
    static EFIVE_INLINE void store_bits(std::uint8_t* p, Bits a) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a);
    }
    static EFIVE_INLINE Bits repeat(const std::uint8_t* p) {
        std::int32_t group;
        std::memcpy(&group, p, 4);
        return _mm256_set1_epi32(group);
    }
    static EFIVE_INLINE Floats as_floats(Bits a) { return _mm256_castsi256_ps(a); }
    /// Signed by signed. The byte product saturates at 2^15, which |a| <= 127 and |w| <= 127 never reach.
    static EFIVE_INLINE Bits dot_int8(Bits acc, Bits activations, Bits weights) {
        const Bits pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(activations), _mm256_sign_epi8(weights, activations));
        return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    static EFIVE_INLINE Floats to_floats(Bits a) { return _mm256_cvtepi32_ps(a); }
    static EFIVE_INLINE Bits add_ints(Bits a, Bits b) { return _mm256_add_epi32(a, b); }
    static EFIVE_INLINE void store_codes(std::uint8_t* p, Floats a) {
        const Bits codes = _mm256_cvtps_epi32(a);
        const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
    }
};

}  // namespace efive

// The vector trait beside tiles: AVX-512, signed bytes, and what attention needs to lay out tiles.
#pragma once

#include "simd_avx512.h"

namespace efive {

/// Without the rounding to bf16 (store_bf16, pairs_of), for which not every processor has an instruction.
struct AmxVectors : Avx512 {
    /// Tiles multiply signed by signed bytes.
    static constexpr int kOffset = 0;

    static EFIVE_INLINE Floats div(Floats a, Floats b) { return _mm512_div_ps(a, b); }
    static EFIVE_INLINE void store_bits(std::uint8_t* p, Bits x) { _mm512_storeu_si512(p, x); }
    static EFIVE_INLINE void store_codes(std::uint8_t* p, Floats a) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a)));
    }
    /// 16 pairs of bf16: one of each row.
    static EFIVE_INLINE Bits pairs(const std::uint8_t* even, const std::uint8_t* odd) {
        return _mm512_or_si512(pairs(even), _mm512_slli_epi32(pairs(odd), 16));
    }
    /// The same with zeros as the second.
    static EFIVE_INLINE Bits pairs(const std::uint8_t* even) {
        return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(even)));
    }
    /// The first 32 bytes, then zeros.
    static EFIVE_INLINE Bits load_half(const std::uint8_t* p) {
        return _mm512_zextsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    /// Of the lanes of a, those whose number has the bit D change places with those of b that have it not.
    template <int D>
    static EFIVE_INLINE void exchange(Bits& a, Bits& b) {
        static constexpr Lanes<D> lanes;
        const Bits low = _mm512_permutex2var_epi32(a, _mm512_load_si512(lanes.low), b);
        b = _mm512_permutex2var_epi32(a, _mm512_load_si512(lanes.high), b);
        a = low;
    }

private:
    /// From 16 on, an index means the second operand.
    template <int D>
    struct Lanes {
        alignas(64) std::int32_t low[16], high[16];

        constexpr Lanes() : low(), high() {
            for (int lane = 0; lane < 16; ++lane) {
                low[lane] = lane & D ? lane + 16 - D : lane;
                high[lane] = low[lane] + D;
            }
        }
    };
};

}  // namespace efive

// AMX with int8 and bfloat16, beside AVX-512: Sapphire Rapids and later.
#include "isa.h"
#include "simd_amx.h"

// After the traits, whose macros it needs.
#include "amx_table.h"

namespace efive {
namespace {

struct Isa : AmxVectors {
    static EFIVE_INLINE void store_bf16(std::uint8_t* p, Floats x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
    }
    /// 16 pairs of bf16: one of each vector.
    static EFIVE_INLINE Bits pairs_of(Floats even, Floats odd) {
        const auto low = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(even)));
        const auto high = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(odd)));
        return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
    }
};

using Attention = TiledBf16<Isa, AmxTiles>;

}  // namespace

const Kernels* amx(Precision precision) {
    switch (precision) {
        case Precision::fp32: return nullptr;
        case Precision::bf16: return &kTileTable<Isa, TiledBf16<Isa, AmxTiles>, Attention>;
        case Precision::int8: return &kTileTable<Isa, TiledInt8<Isa, AmxTiles>, Attention>;
    }
    return nullptr;
}

}  // namespace efive

// The kernels of AMX over tiles in plain C++, for tests: packing, blocks and tails are the same on any AVX-512.
#include "isa.h"
#include "simd_amx.h"
#include "tiles_emulated.h"

// After the traits, whose macros it needs.
#include "amx_table.h"

namespace efive {
namespace {

struct Isa : AmxVectors {
    /// Rounded to the upper half, to nearest, ties to even; NaN stays NaN.
    static EFIVE_INLINE Bits rounded(Floats x) {
        const Bits bits = _mm512_castps_si512(x), one = _mm512_set1_epi32(1);
        const Bits odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
        const Bits up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
        return _mm512_mask_blend_epi32(nan, up, _mm512_or_si512(bits, _mm512_set1_epi32(0x400000)));
    }
    static EFIVE_INLINE void store_bf16(std::uint8_t* p, Floats x) {
        const Bits upper = _mm512_srli_epi32(rounded(x), 16);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(upper));
    }
    static EFIVE_INLINE Bits pairs_of(Floats even, Floats odd) {
        const Bits low = _mm512_srli_epi32(rounded(even), 16);
        return _mm512_or_si512(low, _mm512_and_si512(rounded(odd), _mm512_set1_epi32(-65536)));
    }
};

using Attention = TiledBf16<Isa, EmulatedTiles>;

}  // namespace

const Kernels* amx_emulated(Precision precision) {
    switch (precision) {
        case Precision::fp32: return nullptr;
        case Precision::bf16: return &kTileTable<Isa, TiledBf16<Isa, EmulatedTiles>, Attention>;
        case Precision::int8: return &kTileTable<Isa, TiledInt8<Isa, EmulatedTiles>, Attention>;
    }
    return nullptr;
}

}  // namespace efive

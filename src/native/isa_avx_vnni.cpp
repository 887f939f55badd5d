// AVX2 with the VNNI instruction for 256 bits: Alder Lake and the later desktop processors, Zen 5.
#include "isa.h"
#include "simd_avx2.h"
#include "table.h"

namespace efive {
namespace {

struct Isa : Avx2 {
    /// As in Avx512.
    static constexpr int kOffset = 128;
    static EFIVE_INLINE Bits dot_int8(Bits acc, Bits activations, Bits weights) {
        asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(activations), "x"(weights));
        return acc;
    }
    static EFIVE_INLINE void store_codes(std::uint8_t* p, Floats a) {
        Avx2::store_codes(p, a);
        std::int64_t codes;
        std::memcpy(&codes, p, 8);
        codes ^= 0x8080808080808080;  // adds the offset to each byte
        std::memcpy(p, &codes, 8);
    }
};

}  // namespace

const Kernels* avx_vnni(Precision precision) {
    switch (precision) {
        case Precision::fp32: return nullptr;  // as with AVX2
        case Precision::bf16: return nullptr;
        case Precision::int8: return &kTable<Isa, Int8<Isa>, Fp32<Isa>>;
    }
    return nullptr;
}

}  // namespace efive

// AVX-512 with VNNI and bfloat16 products: Cooper Lake, Sapphire Rapids and later, Zen 4 and later.
#include "isa.h"
#include "simd_avx512.h"
#include "table.h"

namespace efive {
namespace {

/// In an unnamed namespace, so that no template made from it is shared with a file of other flags.
struct Isa : Avx512 {
    /// Assembly for the reason that Avx512::dot_int8 gives.
    static EFIVE_INLINE Floats dot_bf16(Floats acc, Bits x, Bits w) {
        asm("vdpbf16ps %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
        return acc;
    }
    static EFIVE_INLINE void store_bf16(std::uint8_t* p, Floats x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
    }
    /// Lane by lane a value of each row side by side.
    static EFIVE_INLINE Bits interleave(const std::uint8_t* low, const std::uint8_t* high) {
        const Bits first = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(low)));
        const Bits second = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(high)));
        return _mm512_or_si512(first, _mm512_slli_epi32(second, 16));
    }
};

}  // namespace

const Kernels* avx512_bf16(Precision precision) {
    switch (precision) {
        case Precision::fp32: return &kTable<Isa, Fp32<Isa>, Fp32<Isa>>;
        case Precision::bf16: return &kTable<Isa, Bf16<Isa>, Bf16<Isa>>;
        case Precision::int8: return &kTable<Isa, Int8<Isa>, Bf16<Isa>>;
    }
    return nullptr;
}

}  // namespace efive

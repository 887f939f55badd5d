// AVX-512 with VNNI and without bfloat16: Cascade Lake, Ice Lake.
#include "isa.h"
#include "simd_avx512.h"
#include "table.h"

namespace efive {
namespace {

struct Isa : Avx512 {};

}  // namespace

const Kernels* avx512_vnni(Precision precision) {
    switch (precision) {
        case Precision::fp32: return &kTable<Isa, Fp32<Isa>, Fp32<Isa>>;
        case Precision::bf16: return nullptr;
        case Precision::int8: return &kTable<Isa, Int8<Isa>, Fp32<Isa>>;
    }
    return nullptr;
}

}  // namespace efive

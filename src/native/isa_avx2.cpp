// AVX2 with FMA: every x86-64 processor of the last decade.
#include "isa.h"
#include "simd_avx2.h"
#include "table.h"

namespace efive {
namespace {

struct Isa : Avx2 {};

}  // namespace

const Kernels* avx2(Precision precision) {
    switch (precision) {
        case Precision::fp32: return &kTable<Isa, Fp32<Isa>, Fp32<Isa>>;
        case Precision::bf16: return nullptr;
        case Precision::int8: return &kTable<Isa, Int8<Isa>, Fp32<Isa>>;
    }
    return nullptr;
}

}  // namespace efive

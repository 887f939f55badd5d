// The instruction sets that are built, best first, and which of them this processor has.
//
// Another one is a trait, a source file like isa_avx2.cpp, a line in CMakeLists.txt and an entry in isa.cpp.
#pragma once

#include "kernels.h"

namespace efive {

/// Each returns null for a precision that it has no instructions for.
const Kernels* amx(Precision precision);
const Kernels* amx_emulated(Precision precision);
const Kernels* avx512_bf16(Precision precision);
const Kernels* avx512_vnni(Precision precision);
const Kernels* avx_vnni(Precision precision);
const Kernels* avx2(Precision precision);

struct InstructionSet {
    const char* name;
    bool emulated;      ///< for tests: never offered, used where it is asked for by name
    bool (*present)();  ///< its instructions can be executed here
    bool (*proven)();   ///< its kernels may be used here
    const Kernels* (*kernels)(Precision precision);

    bool supported() const { return present() && proven(); }
};

inline constexpr int kIsaCount = 6;
extern const InstructionSet kIsas[kIsaCount];

}  // namespace efive

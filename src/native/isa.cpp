#include "isa.h"

#include "amx_support.h"
#include "check.h"

namespace efive {
namespace {

// The compiler's test also asks whether the operating system saves the registers.
bool has_avx512_vnni() {
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512_bf16() { return has_avx512_vnni() && __builtin_cpu_supports("avx512bf16"); }

/// No machine that efive is developed on has AMX. So the kernels prove themselves on every one that has, once, before
/// they are offered.
bool amx_works() {
    static const bool works = has_avx512_bf16() && amx_permitted() &&
                              difference(*amx(Precision::bf16), Precision::bf16, true).empty() &&
                              difference(*amx(Precision::int8), Precision::int8, true).empty();
    return works;
}

}  // namespace

const InstructionSet kIsas[kIsaCount] = {
    {"amx", true, amx_works, amx},
    {"avx512-bf16", true, has_avx512_bf16, avx512_bf16},
    {"avx512-vnni", true, has_avx512_vnni, avx512_vnni},
    {"avx2", true, [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, avx2},
    {"amx-emulated", false, has_avx512_vnni, amx_emulated},
};

}  // namespace efive

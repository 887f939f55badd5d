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

bool has_amx() { return has_avx512_bf16() && amx_permitted(); }

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx_vnni() { return has_avx2() && __builtin_cpu_supports("avxvnni"); }

/// efive was developed without AMX. So its kernels prove themselves on every machine that has it, once, before use.
bool amx_works() {
    static const bool works = difference(*amx(Precision::bf16), Precision::bf16, true).empty() &&
                              difference(*amx(Precision::int8), Precision::int8, true).empty();
    return works;
}

bool in_development() { return true; }

}  // namespace

const InstructionSet kIsas[kIsaCount] = {
    {"amx", false, has_amx, amx_works, amx},
    {"avx512-bf16", false, has_avx512_bf16, in_development, avx512_bf16},
    {"avx512-vnni", false, has_avx512_vnni, in_development, avx512_vnni},
    {"avx-vnni", false, has_avx_vnni, in_development, avx_vnni},
    {"avx2", false, has_avx2, in_development, avx2},
    {"amx-emulated", true, has_avx512_vnni, in_development, amx_emulated},
};

}  // namespace efive

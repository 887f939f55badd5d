#include "isa.h"

#include "amx_support.h"

namespace efive {
namespace {

// The compiler's test also asks whether the operating system saves the registers.
bool has_avx512_vnni() {
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512_bf16() { return has_avx512_vnni() && __builtin_cpu_supports("avx512bf16"); }

}  // namespace

const InstructionSet kIsas[kIsaCount] = {
    {"amx", true, [] { return has_avx512_bf16() && amx_permitted(); }, amx},
    {"avx512-bf16", true, has_avx512_bf16, avx512_bf16},
    {"avx512-vnni", true, has_avx512_vnni, avx512_vnni},
    {"avx2", true, [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, avx2},
    {"amx-emulated", false, has_avx512_vnni, amx_emulated},
};

}  // namespace efive

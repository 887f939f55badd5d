#include "isa.h"

namespace efive {

// The compiler's test also asks whether the operating system saves the registers.
const InstructionSet kIsas[kIsaCount] = {
    {"avx512-bf16",
     [] {
         return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl");
     },
     avx512_bf16},
    {"avx512-vnni",
     [] {
         return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
     },
     avx512_vnni},
    {"avx-vnni",
     [] {
         return __builtin_cpu_supports("avxvnni") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
     },
     avx_vnni},
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, avx2},
};

}  // namespace efive

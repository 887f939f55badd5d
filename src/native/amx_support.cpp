#include "amx_support.h"

#include <cpuid.h>

#include <cstdint>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace efive {
namespace {

bool processor_has_it() {
    constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25, kAll = kBf16 | kTile | kInt8;
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & kAll) == kAll;
}

/// XCR0 has the states of the tiles' configuration and of their data.
bool system_saves_tiles() {
    constexpr unsigned kXsaveInUse = 1u << 27, kTileStates = 3u << 17;
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & kXsaveInUse)) return false;
    std::uint32_t low, high;
    asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & kTileStates) == kTileStates;
}

/// Linux gives a process the tiles' 8 KB for each thread only if it asks.
bool system_permits_it() {
#if defined(__linux__)
    constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
    return false;
#endif
}

}  // namespace

bool amx_permitted() {
    static const bool permitted = processor_has_it() && system_saves_tiles() && system_permits_it();
    return permitted;
}

}  // namespace efive

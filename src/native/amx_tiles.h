// The tiles of AMX: eight registers of 16 rows of 64 bytes, and products of two of them that are added to a third.
//
// A class of tiles is all that the templates in amx_linear.h and amx_attention.h know of them. This one is the
// processor's; tiles_emulated.h has the other. They are configured while an object lives.
#pragma once

#include <cstddef>
#include <cstdint>

namespace efive {

/// What LDTILECFG reads. By default all tiles are as large as they can be.
struct alignas(64) TileConfig {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// Assembly, because the intrinsics of GCC are macros that want a literal digit, and do not say that they read memory.
class AmxTiles {
public:
    EFIVE_INLINE AmxTiles() {
        static constexpr TileConfig config;
        asm volatile("ldtilecfg %0" : : "m"(config));
    }
    EFIVE_INLINE ~AmxTiles() { asm volatile("tilerelease"); }
    AmxTiles(const AmxTiles&) = delete;
    AmxTiles& operator=(const AmxTiles&) = delete;

    template <int T>
    EFIVE_INLINE void zero() {
        asm volatile("tilezero %%tmm%c0" : : "i"(T));
    }
    /// 16 rows of 64 bytes, `stride` bytes apart.
    template <int T>
    EFIVE_INLINE void load(const void* p, std::size_t stride) {
        asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(T) : "memory");
    }
    template <int T>
    EFIVE_INLINE void store(void* p, std::size_t stride) const {
        asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(T) : "memory");
    }
    /// C (16 x 16 fp32) += A (16 rows x 16 pairs of bf16) B (16 pairs x 16 columns).
    template <int C, int A, int B>
    EFIVE_INLINE void dot_bf16() {
        asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
    }
    /// C (16 x 16 int32) += A (16 rows x 16 groups of four signed bytes) B (16 groups x 16 columns).
    template <int C, int A, int B>
    EFIVE_INLINE void dot_int8() {
        asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
    }
};

}  // namespace efive

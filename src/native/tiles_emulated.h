// Tiles in plain C++, for tests on processors without AMX: what Intel's manual says of each instruction, step by step.
#pragma once

#include <xmmintrin.h>

#include <cstring>

#include "amx_tiles.h"

namespace efive {

class EmulatedTiles {
public:
    explicit EmulatedTiles(const TileConfig& config = {}) : config_(config) {
        bool legal = config.palette == 1 && config.start_row == 0;
        for (int t = 0; t < kTiles; ++t) legal &= config.rows[t] <= kRows && config.row_bytes[t] <= kRowBytes;
        demand(legal);
    }

    template <int T>
    void zero() {
        std::memset(tile<T>(), 0, sizeof tiles_[T]);
    }
    /// Rows and bytes beyond the configured ones become zero.
    template <int T>
    void load(const void* p, std::size_t stride) {
        zero<T>();
        for (int row = 0; row < config_.rows[T]; ++row)
            std::memcpy(tile<T>()[row], static_cast<const std::uint8_t*>(p) + row * stride, config_.row_bytes[T]);
    }
    template <int T>
    void store(void* p, std::size_t stride) const {
        for (int row = 0; row < config_.rows[T]; ++row)
            std::memcpy(static_cast<std::uint8_t*>(p) + row * stride, tiles_[T][row], config_.row_bytes[T]);
    }
    template <int C, int A, int B>
    void dot_bf16() {
        demand_shapes<C, A, B>();
        // Subnormal numbers count as zero, whatever the thread's own setting.
        const unsigned before = _mm_getcsr();
        _mm_setcsr(before | 0x8040);
        for (int row = 0; row < config_.rows[C]; ++row)
            add_pairs(tile<C>()[row], tile<A>()[row], tile<B>(), config_.row_bytes[A] / 4);
        _mm_setcsr(before);
    }
    template <int C, int A, int B>
    void dot_int8() {
        demand_shapes<C, A, B>();
        for (int row = 0; row < config_.rows[C]; ++row)
            add_bytes(tile<C>()[row], tile<A>()[row], tile<B>(), config_.row_bytes[A] / 4);
    }

private:
    static constexpr int kTiles = 8, kRows = 16, kRowBytes = 64, kColumns = 16;
    using Row = std::uint8_t[kRowBytes];

    static void demand(bool legal) {
        if (!legal) __builtin_trap();  // the processor's #UD or #GP
    }

    template <int C, int A, int B>
    void demand_shapes() const {
        demand(config_.rows[C] == config_.rows[A] && config_.row_bytes[A] == 4 * config_.rows[B] &&
               config_.row_bytes[B] == config_.row_bytes[C]);
    }

    template <int T>
    Row* tile() {
        static_assert(T >= 0 && T < kTiles);
        return tiles_[T];
    }

    static float upper(std::uint32_t pair) { return from_bits(pair & 0xffff0000u); }
    static float lower(std::uint32_t pair) { return from_bits(pair << 16); }
    static float from_bits(std::uint32_t bits) {
        float value;
        std::memcpy(&value, &bits, 4);
        return value;
    }

    // Columns beyond the configured ones are zero in all three tiles, and stay so.

    /// The first values of all pairs are summed, and the second ones, each product with one rounding; then both sums.
    __attribute__((noinline)) static void add_pairs(Row& sums, const Row& a, const Row* b, int groups) {
        float total[kColumns], even[kColumns] = {}, odd[kColumns] = {};
        std::memcpy(total, sums, sizeof total);
        for (int g = 0; g < groups; ++g) {
            std::uint32_t x, w[kColumns];
            std::memcpy(&x, a + 4 * g, 4);
            std::memcpy(w, b[g], sizeof w);
            for (int i = 0; i < kColumns; ++i) {
                even[i] = __builtin_fmaf(lower(x), lower(w[i]), even[i]);
                odd[i] = __builtin_fmaf(upper(x), upper(w[i]), odd[i]);
            }
        }
        for (int i = 0; i < kColumns; ++i) total[i] += even[i] + odd[i];
        std::memcpy(sums, total, sizeof total);
    }

    /// Sums wrap around, they do not saturate.
    static void add_bytes(Row& sums, const Row& a, const Row* b, int groups) {
        std::uint32_t total[kColumns];
        std::memcpy(total, sums, sizeof total);
        for (int g = 0; g < groups; ++g) {
            std::uint32_t x, w[kColumns];
            std::memcpy(&x, a + 4 * g, 4);
            std::memcpy(w, b[g], sizeof w);
            for (int byte = 0; byte < 4; ++byte)
                for (int i = 0; i < kColumns; ++i)
                    total[i] += std::uint32_t(signed_byte(x, byte) * signed_byte(w[i], byte));
        }
        std::memcpy(sums, total, sizeof total);
    }
    static std::int32_t signed_byte(std::uint32_t group, int byte) {
        return static_cast<std::int32_t>(group << (24 - 8 * byte)) >> 24;
    }

    TileConfig config_;
    alignas(64) Row tiles_[kTiles][kRows];
};

}  // namespace efive

#include "checksum.h"

#include <cstring>

namespace efive {
namespace {

constexpr std::size_t kStreams = 8;

struct Sums {
    std::uint64_t first[kStreams] = {};
    std::uint64_t second[kStreams] = {};

    void add(const std::uint8_t* row) {
        std::uint64_t words[kStreams];
        std::memcpy(words, row, sizeof words);
        for (std::size_t i = 0; i < kStreams; ++i) {
            first[i] += words[i];
            second[i] += first[i];
        }
    }
};

/// One to one, so that nothing is lost; high bits reach low ones, so that two changes do not undo each other.
std::uint64_t mixed(std::uint64_t x) {
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 32;
}

}  // namespace

std::uint64_t checksum(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t row = kStreams * 8;
    Sums sums;
    std::size_t at = 0;
    for (; at + row <= size; at += row) sums.add(data + at);
    std::uint8_t rest[row] = {};
    std::memcpy(rest, data + at, size - at);
    sums.add(rest);
    std::uint64_t sum = size;
    for (std::size_t i = 0; i < kStreams; ++i) sum = mixed(mixed(sum ^ sums.first[i]) ^ sums.second[i]);
    return sum;
}

}  // namespace efive

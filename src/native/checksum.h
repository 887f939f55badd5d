// Whether a file is still as it was written; no defence against those who would forge one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace efive {

/// Fletcher's two sums over interleaved streams of words: what is damaged or moved shows, at the speed of memory.
std::uint64_t checksum(const std::uint8_t* data, std::size_t size);

}  // namespace efive

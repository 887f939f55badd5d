#include <cstring>

#include "encoder.h"

namespace efive {
namespace {

float from_bits(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

/// IEEE half precision, subnormal values, infinities and NaN included.
float from_half(std::uint16_t half) {
    const std::uint32_t sign = std::uint32_t{half} >> 15 << 31;
    // Moving exponent and fraction into place leaves the value too small by 2^112, which the product makes good.
    const float size = from_bits((half & 0x7fffu) << 13) * 0x1p112f;
    std::uint32_t bits;
    std::memcpy(&bits, &size, 4);
    if ((half & 0x7c00u) == 0x7c00u) bits |= 0x7f800000u;
    return from_bits(bits | sign);
}

}  // namespace

void WordTable::read(std::int64_t row, int width, float* out) const {
    const std::int64_t first = row * width;
    switch (type) {
        case Type::f32:
            std::memcpy(out, static_cast<const float*>(values) + first, sizeof(float) * width);
            break;
        case Type::f16: {
            const auto* halves = static_cast<const std::uint16_t*>(values) + first;
            for (int i = 0; i < width; ++i) out[i] = from_half(halves[i]);
            break;
        }
        case Type::bf16: {
            const auto* upper = static_cast<const std::uint16_t*>(values) + first;
            for (int i = 0; i < width; ++i) out[i] = from_bits(std::uint32_t{upper[i]} << 16);
            break;
        }
        case Type::i8: {
            const auto* codes = static_cast<const std::int8_t*>(values) + first;
            for (int i = 0; i < width; ++i) out[i] = codes[i] * scales[row];
            break;
        }
    }
}

}  // namespace efive

#include "reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace efive::reference {
namespace {

/// Codes from -127 to 127 by the largest of `size` values. In floats, as where a code falls decides the result.
void quantise(const float* x, int size, double* out) {
    float top = 0;
    for (int i = 0; i < size; ++i) top = std::max(top, std::fabs(x[i]));
    const float inverse = top > 1e-30f ? 127 / top : 0, scale = top / 127;
    for (int i = 0; i < size; ++i) out[i] = double(std::nearbyintf(x[i] * inverse)) * scale;
}

Values rounded(const Floats& x, Precision precision) {
    Values values(x.begin(), x.end());
    if (precision == Precision::bf16)
        for (double& value : values) value = from_bf16(bf16(float(value)));
    return values;
}

}  // namespace

std::uint16_t bf16(float x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float from_bf16(std::uint16_t bits) {
    const std::uint32_t upper = std::uint32_t{bits} << 16;
    float x;
    std::memcpy(&x, &upper, 4);
    return x;
}

Values activations(const Floats& x, int width, Precision precision) {
    if (precision != Precision::int8) return rounded(x, precision);
    Values values(x.size());
    for (std::size_t row = 0; row < x.size(); row += width)
        for (int first = 0; first < width; first += kBlock)
            quantise(&x[row + first], std::min(kBlock, width - first), &values[row + first]);
    return values;
}

Values weights(const Floats& matrix, int inputs, Precision precision) {
    if (precision != Precision::int8) return rounded(matrix, precision);
    Values values(matrix.size());
    for (std::size_t row = 0; row < matrix.size(); row += inputs) quantise(&matrix[row], inputs, &values[row]);
    return values;
}

Values linear(const Values& x, const Values& matrix, const Floats& bias, int inputs) {
    Values out;
    for (std::size_t row = 0; row < x.size(); row += inputs)
        for (std::size_t o = 0; o < bias.size(); ++o) {
            double sum = bias[o];
            for (int i = 0; i < inputs; ++i) sum += x[row + i] * matrix[o * inputs + i];
            out.push_back(sum);
        }
    return out;
}

Values norm(const Floats& x, const Floats& gain, const Floats& bias, double epsilon) {
    const std::size_t width = gain.size();
    Values out(x.size());
    for (std::size_t row = 0; row < x.size(); row += width) {
        double mean = 0, variance = 0;
        for (std::size_t i = 0; i < width; ++i) mean += x[row + i] / double(width);
        for (std::size_t i = 0; i < width; ++i) variance += (x[row + i] - mean) * (x[row + i] - mean) / double(width);
        for (std::size_t i = 0; i < width; ++i)
            out[row + i] = (x[row + i] - mean) / std::sqrt(variance + epsilon) * gain[i] + bias[i];
    }
    return out;
}

double gelu(double x) { return x / 2 * std::erfc(-x / std::sqrt(2.0)); }

Values attend(const Floats& qkv, int tokens, int heads, int head_size) {
    const int hidden = heads * head_size;
    Values context(std::size_t(tokens) * hidden);
    for (int head = 0; head < heads; ++head)
        for (int query = 0; query < tokens; ++query) {
            const auto of = [&](int token, int part) { return &qkv[(token * 3 + part) * hidden + head * head_size]; };
            Values scores(tokens);
            for (int key = 0; key < tokens; ++key)
                for (int i = 0; i < head_size; ++i) scores[key] += double(of(query, 0)[i]) * of(key, 1)[i];
            const double top = *std::max_element(scores.begin(), scores.end());
            double total = 0;
            for (double& score : scores) total += score = std::exp2(score - top);
            for (int key = 0; key < tokens; ++key)
                for (int i = 0; i < head_size; ++i)
                    context[query * hidden + head * head_size + i] += scores[key] / total * of(key, 2)[i];
        }
    return context;
}

}  // namespace efive::reference

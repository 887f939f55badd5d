#include "check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "buffer.h"
#include "reference.h"

namespace efive {
namespace {

using reference::Floats;
using reference::Values;

/// Values and their bounds: what a kernel may miss its reference by.
struct Expected {
    Values values, bounds;
};

class Check {
public:
    Check(const Kernels& kernels, Precision precision) : kernels_(kernels), precision_(precision) {}

    std::string run(const std::vector<int>& counts, const std::vector<int>& lengths) {
        for (const int rows : counts)
            for (const auto& [inputs, outputs] : {std::pair{16, 32}, {48, 16}, {144, 80}, {400, 48}, {1040, 16}}) {
                size_ = std::to_string(rows) + " rows, " + std::to_string(inputs) + " to " + std::to_string(outputs);
                linear(rows, inputs, outputs);
            }
        for (const int tokens : lengths)
            for (const int head : {16, 32, 64}) {
                size_ = std::to_string(tokens) + " tokens, heads of " + std::to_string(head);
                attend(tokens, 3, head);
            }
        return found_;
    }

private:
    struct Activations {
        Buffer<std::uint8_t> memory;
        Buffer<float> scales;
        Rows rows;
    };

    struct Layer {
        Buffer<std::uint8_t> weights;
        Buffer<float> scales;
        Buffer<std::int32_t> correction;
        Floats bias;
        Linear view;
    };

    /// Mostly of one size, with a few outliers.
    Floats noise(std::size_t size, float scale) {
        std::normal_distribution<float> normal(0, scale);
        Floats values(size);
        for (float& value : values) value = normal(random_) * (random_() % 61 ? 1 : 8);
        return values;
    }

    /// New memory is full of NaN, or of what is no code, so that nothing counts on zeros.
    Activations room(int width) const {
        const std::size_t bytes = activation_bytes(kernels_, width);
        Activations made{Buffer<std::uint8_t>(bytes), Buffer<float>(kernels_.chunk * blocks_of(width)), {}};
        std::memset(made.memory.data(), 0xff, bytes);
        made.rows = {made.memory.data(), activation_stride(kernels_, width), made.scales.data()};
        return made;
    }

    Layer packed(const Floats& matrix, Floats bias, int inputs) const {
        const int outputs = static_cast<int>(bias.size());
        Layer made{Buffer<std::uint8_t>(outputs * row_bytes(inputs, kernels_.value_size)), Buffer<float>(outputs),
                   Buffer<std::int32_t>(std::size_t(blocks_of(inputs)) * outputs), std::move(bias), {}};
        made.view = {outputs, inputs, made.weights.data(), made.bias.data(), made.scales.data(),
                     made.correction.data()};
        kernels_.pack(matrix.data(), made.view);
        return made;
    }

    /// `norm` or `convert`, and all that a linear layer does with the activations they write.
    void linear(int rows, int inputs, int outputs) {
        const Floats matrix = noise(std::size_t(outputs) * inputs, 0.1f);
        Floats gain = noise(inputs, 1), shift = noise(inputs, 1);
        const Layer layer = packed(matrix, noise(outputs, 1), inputs);
        const Values plain = reference::weights(matrix, inputs, precision_);
        const Activations in = room(inputs);

        Floats x = noise(std::size_t(rows) * inputs, 2);
        const Values normalised = reference::norm(x, gain, shift, 1e-5);
        kernels_.norm(x.data(), rows, inputs, {gain.data(), shift.data(), 1e-5f}, in.rows);
        compare("norm", x, {normalised, Values(x.size(), 1e-5 * largest(normalised))});
        Values sums = reference::linear(reference::activations(x, inputs, precision_), plain, layer.bias, inputs);
        project(in.rows, rows, layer, sums);
        expand(in.rows, rows, layer, sums);

        x = noise(std::size_t(rows) * inputs, 2);
        kernels_.convert(x.data(), rows, inputs, in.rows);
        sums = reference::linear(reference::activations(x, inputs, precision_), plain, layer.bias, inputs);
        Floats target = noise(sums.size(), 1);
        for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += target[i];
        kernels_.add(in.rows, rows, layer.view, target.data());
        compare("add", target, {sums, Values(sums.size(), 1e-5 * largest(sums))});
    }

    void project(Rows in, int rows, const Layer& layer, const Values& sums) {
        Buffer<std::uint8_t> out(sums.size() * kernels_.attended_size);
        kernels_.project(in, rows, layer.view, out.data());
        Values bounds(sums.size(), 1e-5 * largest(sums));
        for (std::size_t i = 0; i < sums.size(); ++i)
            bounds[i] += rounding(kernels_.attended_size) * std::fabs(sums[i]);
        compare("project", attended(out, sums.size()), {sums, bounds});
    }

    /// What `expand` writes is read through a layer that changes nothing.
    void expand(Rows in, int rows, const Layer& layer, const Values& sums) {
        const int width = layer.view.outputs;
        Floats same(std::size_t(width) * width);
        for (int i = 0; i < width; ++i) same[i * width + i] = 1;
        const Layer identity = packed(same, Floats(width), width);
        const Activations out = room(width);
        Floats scratch(std::size_t(rows) * kBlock), found(sums.size());
        kernels_.expand(in, rows, layer.view, scratch.data(), out.rows);
        kernels_.add(out.rows, rows, identity.view, found.data());
        Values values(sums.size()), bounds(sums.size(), 1e-5 * largest(sums));
        std::transform(sums.begin(), sums.end(), values.begin(), reference::gelu);
        for (std::size_t i = 0; i < sums.size(); ++i) {
            const auto row = values.begin() + i / width * width;
            bounds[i] += precision_ == Precision::int8 ? 0.51 * largest({row, row + width}) / 127
                                                       : rounding(kernels_.value_size) * std::fabs(values[i]);
        }
        compare("expand", found, {values, bounds});
    }

    void attend(int tokens, int heads, int head_size) {
        const int hidden = heads * head_size, padded = (tokens + 31) / 32 * 32, room = std::max(head_size, 32);
        Floats qkv = noise(std::size_t(tokens) * 3 * hidden, 1);
        Buffer<std::uint8_t> packed(qkv.size() * kernels_.attended_size);
        for (std::size_t i = 0; i < qkv.size(); ++i) {
            if (i % (3 * hidden) < std::size_t(hidden)) qkv[i] /= 8;  // scores of a usual size
            const std::uint16_t half = reference::bf16(qkv[i]);
            if (kernels_.attended_size == 2) qkv[i] = reference::from_bf16(half);
            const void* value = kernels_.attended_size == 2 ? static_cast<const void*>(&half) : &qkv[i];
            std::memcpy(packed.data() + i * kernels_.attended_size, value, kernels_.attended_size);
        }
        Buffer<std::uint8_t> keys(padded * room * kernels_.attended_size), values(keys.bytes()),
            weights(padded * kMostTileRows * kernels_.attended_size);
        Buffer<float> scores(padded * kMostTileRows);
        for (auto* memory : {&keys, &values, &weights}) std::memset(memory->data(), 0xff, memory->bytes());
        Floats context(std::size_t(tokens) * hidden);
        for (const auto& [first, last] : {std::pair(0, 1), std::pair(1, heads)})  // as threads divide them
            kernels_.attend(packed.data(), tokens, {heads, head_size, first, last}, context.data(),
                            {keys.data(), values.data(), scores.data(), weights.data()});
        const Values expected = reference::attend(qkv, tokens, heads, head_size);
        // Weights add up to one, so what they are rounded by moves the context by at most that part of a value.
        const double bound = (1e-5 + rounding(kernels_.attended_size)) * largest(Values(qkv.begin(), qkv.end()));
        compare("attend", context, {expected, Values(context.size(), bound)});
    }

    Floats attended(const Buffer<std::uint8_t>& memory, std::size_t size) const {
        Floats values(size);
        if (kernels_.attended_size == 4) {
            std::memcpy(values.data(), memory.data(), size * 4);
            return values;
        }
        for (std::size_t i = 0; i < size; ++i) {
            std::uint16_t bits;
            std::memcpy(&bits, memory.data() + 2 * i, 2);
            values[i] = reference::from_bf16(bits);
        }
        return values;
    }

    /// Relative, of a value that is kept in so many bytes; int8 has a bound of its own.
    static double rounding(std::size_t size) { return size == 2 ? 0x1p-8 : 0; }

    static double largest(const Values& values) {
        double top = 0;
        for (const double value : values) top = std::max(top, std::fabs(value));
        return top;
    }

    void compare(const char* kernel, const Floats& found, const Expected& expected) {
        for (std::size_t i = 0; i < found.size() && found_.empty(); ++i)
            if (!(std::fabs(found[i] - expected.values[i]) <= expected.bounds[i]))  // NaN too
                found_ = std::string(kernel) + ", " + size_ + ": value " + std::to_string(i) + " is " +
                         std::to_string(found[i]) + " and not " + std::to_string(expected.values[i]);
    }

    const Kernels& kernels_;
    const Precision precision_;
    std::mt19937 random_{0};
    std::string size_, found_;
};

}  // namespace

std::string difference(const Kernels& kernels, Precision precision, bool briefly) {
    Check check(kernels, precision);
    return briefly ? check.run({33}, {33}) : check.run({1, 15, 16, 17, 33, 48}, {1, 2, 5, 16, 17, 31, 32, 33, 65, 100});
}

}  // namespace efive

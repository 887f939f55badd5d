#include "encoder.h"

#include <algorithm>
#include <cstring>

namespace efive {
namespace {

/// Tokens that go through one layer together: a multiple of every tile, and small enough that their widest activations
/// stay in the second-level cache.
constexpr int kChunk = 96;

Buffer<float> copied(const float* source, std::size_t size) {
    Buffer<float> copy(size);
    std::memcpy(copy.data(), source, size * sizeof(float));
    return copy;
}

template <class Do>
void in_chunks(std::size_t tokens, const Do& run) {
    for (std::size_t first = 0; first < tokens; first += kChunk)
        run(first, static_cast<int>(std::min<std::size_t>(kChunk, tokens - first)));
}

}  // namespace

Encoder::Encoder(const Shape& shape, const Kernels& kernels, WordTable words, const float* positions,
                 LayerSource::Affine norm_source)
    : shape_(shape),
      kernels_(kernels),
      words_(words),
      positions_(copied(positions, std::size_t(shape.longest) * shape.hidden)),
      norm_(norm(norm_source)) {
    bytes_ += positions_.bytes();
}

Encoder::OwnedLinear Encoder::linear(LayerSource::Affine source, int outputs, int inputs) {
    OwnedLinear owned;
    owned.weights.reserve(std::size_t(outputs) * inputs * kernels_.value_size);
    owned.bias = copied(source.bias, outputs);
    owned.scales.reserve(outputs);
    owned.correction.reserve(std::size_t(blocks_of(inputs)) * outputs);
    owned.view = {outputs, inputs, owned.weights.data(), owned.bias.data(), owned.scales.data(),
                  owned.correction.data()};
    kernels_.pack(source.matrix, owned.view);
    bytes_ += owned.weights.bytes() + owned.bias.bytes() + owned.scales.bytes() + owned.correction.bytes();
    return owned;
}

Encoder::OwnedNorm Encoder::norm(LayerSource::Affine source) {
    OwnedNorm owned{copied(source.matrix, shape_.hidden), copied(source.bias, shape_.hidden), {}};
    owned.view = {owned.gain.data(), owned.bias.data(), shape_.epsilon};
    bytes_ += owned.gain.bytes() + owned.bias.bytes();
    return owned;
}

void Encoder::add_layer(const LayerSource& source) {
    const int hidden = shape_.hidden, wide = shape_.feed_forward;
    layers_.push_back({linear(source.qkv, 3 * hidden, hidden), linear(source.output, hidden, hidden),
                       linear(source.up, wide, hidden), linear(source.down, hidden, wide), norm(source.output_norm),
                       norm(source.down_norm)});
}

void Encoder::reserve(Workspace& w, std::size_t tokens, int longest) const {
    const std::size_t hidden = shape_.hidden, wide = shape_.feed_forward;
    const std::size_t padded = (longest + 15) / 16 * 16, head = hidden / shape_.heads;
    w.x.reserve(tokens * hidden);
    w.context.reserve(tokens * hidden);
    w.qkv.reserve(tokens * 3 * hidden * kernels_.attended_size);
    w.narrow.reserve(kChunk * hidden * kernels_.value_size);
    w.narrow_scales.reserve(kChunk * blocks_of(shape_.hidden));
    w.wide.reserve(kChunk * wide * kernels_.value_size);
    w.wide_scales.reserve(kChunk * blocks_of(shape_.feed_forward));
    w.expanded.reserve(kChunk * kBlock);
    w.keys.reserve(padded * head * kernels_.attended_size);
    w.values.reserve(padded * head * kernels_.attended_size);
    w.scores.reserve(padded * kMostTileRows);
    w.weights.reserve(padded * kMostTileRows * kernels_.attended_size);
}

Rows Encoder::narrow(Workspace& w) const {
    return {w.narrow.data(), shape_.hidden * kernels_.value_size, w.narrow_scales.data()};
}

void Encoder::look_up(const std::int32_t* ids, int texts, int width, const std::int32_t* lengths, float* x) const {
    const int hidden = shape_.hidden;
    for (int text = 0; text < texts; ++text)
        for (int token = 0; token < lengths[text]; ++token, x += hidden) {
            words_.read(ids[std::size_t(text) * width + token], hidden, x);
            const float* position = positions_.data() + std::size_t(token) * hidden;
            for (int i = 0; i < hidden; ++i) x[i] += position[i];
        }
}

void Encoder::project(Workspace& w, const Layer& layer, std::size_t first, int rows) const {
    std::uint8_t* out = w.qkv.data() + first * 3 * shape_.hidden * kernels_.attended_size;
    kernels_.project(narrow(w), rows, layer.qkv.view, out);
}

void Encoder::attend(Workspace& w, int texts, const std::int32_t* lengths) const {
    const std::size_t hidden = shape_.hidden;
    const AttentionScratch scratch{w.keys.data(), w.values.data(), w.scores.data(), w.weights.data()};
    std::size_t first = 0;
    for (int text = 0; text < texts; first += lengths[text++])
        kernels_.attend(w.qkv.data() + first * 3 * hidden * kernels_.attended_size, lengths[text], shape_.heads,
                        shape_.hidden / shape_.heads, w.context.data() + first * hidden, scratch);
}

void Encoder::after_attention(Workspace& w, const Layer& layer, std::size_t first, int rows) const {
    const int hidden = shape_.hidden, inner = shape_.feed_forward;
    const Rows input = narrow(w);
    const Rows wide{w.wide.data(), inner * kernels_.value_size, w.wide_scales.data()};
    float* x = w.x.data() + first * hidden;
    kernels_.convert(w.context.data() + first * hidden, rows, hidden, input);
    kernels_.add(input, rows, layer.output.view, x);
    kernels_.norm(x, rows, hidden, layer.output_norm.view, input);
    kernels_.expand(input, rows, layer.up.view, w.expanded.data(), wide);
    kernels_.add(wide, rows, layer.down.view, x);
    kernels_.norm(x, rows, hidden, layer.down_norm.view, input);
}

void Encoder::embed(Workspace& w, const std::int32_t* ids, int texts, int width, const std::int32_t* lengths,
                    float* out) const {
    std::size_t tokens = 0;
    for (int text = 0; text < texts; ++text) tokens += lengths[text];
    if (tokens == 0) return;
    const int hidden = shape_.hidden;
    reserve(w, tokens, *std::max_element(lengths, lengths + texts));
    look_up(ids, texts, width, lengths, w.x.data());
    in_chunks(tokens, [&](std::size_t first, int rows) {
        kernels_.norm(w.x.data() + first * hidden, rows, hidden, norm_.view, narrow(w));
        if (!layers_.empty()) project(w, layers_[0], first, rows);
    });
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        attend(w, texts, lengths);
        // The next layer's queries, keys and values follow at once, while the chunk's activations are in the cache.
        in_chunks(tokens, [&](std::size_t first, int rows) {
            after_attention(w, layers_[i], first, rows);
            if (i + 1 < layers_.size()) project(w, layers_[i + 1], first, rows);
        });
    }
    const float* x = w.x.data();
    for (int text = 0; text < texts; ++text, out += hidden) {
        std::fill(out, out + hidden, 0.0f);
        for (int token = 0; token < lengths[text]; ++token, x += hidden)
            for (int i = 0; i < hidden; ++i) out[i] += x[i];
        for (int i = 0; i < hidden; ++i) out[i] /= static_cast<float>(lengths[text]);
    }
}

}  // namespace efive

#include "encoder.h"

#include <algorithm>

namespace efive {
namespace {

/// Shares of attention for each thread of a team, so that all are done at about the same time.
constexpr int kShares = 4;

/// Gives out memory piece by piece. All sizes are multiples of 16 values, so every piece begins at a cache line.
class Pieces {
public:
    explicit Pieces(std::uint8_t* memory) : memory_(memory) {}

    template <class T>
    T* take(std::size_t size) {
        T* piece = memory_ ? reinterpret_cast<T*>(memory_ + used_) : nullptr;
        used_ += size * sizeof(T);
        return piece;
    }
    std::size_t used() const { return used_; }

private:
    std::uint8_t* memory_;
    std::size_t used_ = 0;
};

Linear linear(Pieces& pieces, const Kernels& kernels, int outputs, int inputs) {
    const bool quantised = kernels.value_size == 1;
    const std::size_t wide = outputs;
    return {outputs,
            inputs,
            pieces.take<std::uint8_t>(wide * row_bytes(inputs, kernels.value_size)),
            pieces.take<float>(wide),
            pieces.take<float>(quantised ? wide : 0),
            pieces.take<std::int32_t>(quantised ? blocks_of(inputs) * wide : 0)};
}

Norm norm(Pieces& pieces, const Shape& shape) {
    return {pieces.take<float>(shape.hidden), pieces.take<float>(shape.hidden), shape.epsilon};
}

void set(const Kernels& kernels, const Linear& layer, LayerSource::Affine source) {
    std::copy_n(source.bias, layer.outputs, layer.bias);
    kernels.pack(source.matrix, layer);
}

void set(const Norm& norm, int width, LayerSource::Affine source) {
    std::copy_n(source.matrix, width, norm.gain);
    std::copy_n(source.bias, width, norm.bias);
}

int ceil_div(std::size_t a, std::size_t b) { return static_cast<int>((a + b - 1) / b); }

Texts flat(const std::int32_t* ids, int count, int width, const std::int32_t* lengths) {
    Texts texts{ids, count, width, {0}};
    for (int text = 0; text < count; ++text) texts.starts.push_back(texts.tokens() + lengths[text]);
    return texts;
}

}  // namespace

Encoder::Encoder(const Shape& shape, const Kernels& kernels, WordTable words, const std::uint8_t* packed)
    : shape_(shape), kernels_(kernels), words_(words), packed_(packed) {
    bytes_ = lay_out(nullptr);
    if (!packed) {
        owned_.reserve(bytes_);
        packed_ = owned_.data();
    }
    lay_out(const_cast<std::uint8_t*>(packed_));  // what is the caller's is read only: nobody sets it
}

/// Point the views into `memory`, and return the bytes that they need.
std::size_t Encoder::lay_out(std::uint8_t* memory) {
    const int hidden = shape_.hidden, wide = shape_.feed_forward;
    Pieces pieces(memory);
    positions_ = pieces.take<float>(std::size_t(shape_.longest) * hidden);
    norm_ = norm(pieces, shape_);
    layers_.clear();
    for (int i = 0; i < shape_.layers; ++i)
        layers_.push_back({linear(pieces, kernels_, 3 * hidden, hidden), linear(pieces, kernels_, hidden, hidden),
                           linear(pieces, kernels_, wide, hidden), linear(pieces, kernels_, hidden, wide),
                           norm(pieces, shape_), norm(pieces, shape_)});
    return pieces.used();
}

void Encoder::set_embeddings(const float* positions, LayerSource::Affine source) {
    std::copy_n(positions, std::size_t(shape_.longest) * shape_.hidden, positions_);
    set(norm_, shape_.hidden, source);
}

void Encoder::set_layer(int index, const LayerSource& source) {
    const Layer& layer = layers_[index];
    set(kernels_, layer.qkv, source.qkv);
    set(kernels_, layer.output, source.output);
    set(kernels_, layer.up, source.up);
    set(kernels_, layer.down, source.down);
    set(layer.output_norm, shape_.hidden, source.output_norm);
    set(layer.down_norm, shape_.hidden, source.down_norm);
}

void Encoder::reserve(Workspace& w, std::size_t tokens, int longest) const {
    const std::size_t hidden = shape_.hidden;
    const std::size_t padded = (longest + 31) / 32 * 32, head = std::max<std::size_t>(32, hidden / shape_.heads);
    const int chunk = kernels_.chunk;
    w.x.reserve(tokens * hidden);
    w.context.reserve(tokens * hidden);
    w.qkv.reserve(tokens * 3 * hidden * kernels_.attended_size);
    for (Workspace::Member& m : w.members) {
        m.narrow.reserve(activation_bytes(kernels_, shape_.hidden));
        m.narrow_scales.reserve(chunk * blocks_of(shape_.hidden));
        m.wide.reserve(activation_bytes(kernels_, shape_.feed_forward));
        m.wide_scales.reserve(chunk * blocks_of(shape_.feed_forward));
        m.expanded.reserve(chunk * kBlock);
        m.keys.reserve(padded * head * kernels_.attended_size);
        m.values.reserve(padded * head * kernels_.attended_size);
        m.scores.reserve(padded * kMostTileRows);
        m.weights.reserve(padded * kMostTileRows * kernels_.attended_size);
    }
}

/// Run run(first token, rows, member) for all tokens: chunks of whole tiles, and as many for each thread.
template <class Do>
void Encoder::in_chunks(Team& team, std::size_t tokens, const Do& run) const {
    const int chunks = team.size() * ceil_div(tokens, std::size_t(kernels_.chunk) * team.size());
    const int even = ceil_div(tokens, chunks);
    const int size = std::min(kernels_.chunk, ceil_div(even, kernels_.tile_rows) * kernels_.tile_rows);
    team.run(ceil_div(tokens, size), [&](int chunk, int member) {
        const std::size_t first = std::size_t(chunk) * size;
        run(first, static_cast<int>(std::min<std::size_t>(size, tokens - first)), member);
    });
}

Rows Encoder::narrow(Workspace::Member& m) const {
    return {m.narrow.data(), activation_stride(kernels_, shape_.hidden), m.narrow_scales.data()};
}

void Encoder::look_up(const Texts& texts, std::size_t first, int rows, float* x) const {
    const int hidden = shape_.hidden;
    const auto& starts = texts.starts;
    std::size_t text = std::upper_bound(starts.begin(), starts.end(), first) - starts.begin() - 1;
    for (std::size_t flat = first; flat < first + rows; ++flat, x += hidden) {
        while (flat >= starts[text + 1]) ++text;
        const std::size_t token = flat - starts[text];
        words_.read(texts.ids[text * texts.width + token], hidden, x);
        const float* position = positions_ + token * hidden;
        for (int i = 0; i < hidden; ++i) x[i] += position[i];
    }
}

void Encoder::project(Workspace& w, Workspace::Member& m, const Layer& layer, std::size_t first, int rows) const {
    std::uint8_t* out = w.qkv.data() + first * 3 * shape_.hidden * kernels_.attended_size;
    kernels_.project(narrow(m), rows, layer.qkv, out);
}

void Encoder::attend(Workspace& w, const Texts& texts) const {
    const std::size_t hidden = shape_.hidden;
    // One thread takes a text with all its heads; several divide them, finely enough to be done together.
    const int wanted = w.team.size() == 1 ? 1 : ceil_div(kShares * w.team.size(), texts.count);
    const int heads = ceil_div(shape_.heads, std::min(wanted, shape_.heads)), parts = ceil_div(shape_.heads, heads);
    w.team.run(texts.count * parts, [&](int item, int member) {
        Workspace::Member& m = w.members[member];
        const int text = item / parts, first = item % parts * heads;
        const Heads range{shape_.heads, shape_.hidden / shape_.heads, first, std::min(first + heads, shape_.heads)};
        const AttentionScratch scratch{m.keys.data(), m.values.data(), m.scores.data(), m.weights.data()};
        kernels_.attend(w.qkv.data() + texts.starts[text] * 3 * hidden * kernels_.attended_size, texts.length(text),
                        range, w.context.data() + texts.starts[text] * hidden, scratch);
    });
}

void Encoder::after_attention(Workspace& w, Workspace::Member& m, const Layer& layer, std::size_t first,
                              int rows) const {
    const int hidden = shape_.hidden, inner = shape_.feed_forward;
    const Rows input = narrow(m);
    const Rows wide{m.wide.data(), activation_stride(kernels_, inner), m.wide_scales.data()};
    float* x = w.x.data() + first * hidden;
    kernels_.convert(w.context.data() + first * hidden, rows, hidden, input);
    kernels_.add(input, rows, layer.output, x);
    kernels_.norm(x, rows, hidden, layer.output_norm, input);
    kernels_.expand(input, rows, layer.up, m.expanded.data(), wide);
    kernels_.add(wide, rows, layer.down, x);
    kernels_.norm(x, rows, hidden, layer.down_norm, input);
}

void Encoder::embed(Workspace& w, const std::int32_t* ids, int count, int width, const std::int32_t* lengths,
                    float* out) const {
    const Texts texts = flat(ids, count, width, lengths);
    const std::size_t tokens = texts.tokens();
    if (tokens == 0) return;
    const int hidden = shape_.hidden;
    reserve(w, tokens, *std::max_element(lengths, lengths + count));
    in_chunks(w.team, tokens, [&](std::size_t first, int rows, int member) {
        float* x = w.x.data() + first * hidden;
        look_up(texts, first, rows, x);
        kernels_.norm(x, rows, hidden, norm_, narrow(w.members[member]));
        if (!layers_.empty()) project(w, w.members[member], layers_[0], first, rows);
    });
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        attend(w, texts);
        // The next layer's queries, keys and values follow at once, while the chunk's activations are in the cache.
        in_chunks(w.team, tokens, [&](std::size_t first, int rows, int member) {
            after_attention(w, w.members[member], layers_[i], first, rows);
            if (i + 1 < layers_.size()) project(w, w.members[member], layers_[i + 1], first, rows);
        });
    }
    pool(texts, w.x.data(), out);
}

void Encoder::pool(const Texts& texts, const float* x, float* out) const {
    const int hidden = shape_.hidden;
    for (int text = 0; text < texts.count; ++text, out += hidden) {
        std::fill(out, out + hidden, 0.0f);
        for (int token = 0; token < texts.length(text); ++token, x += hidden)
            for (int i = 0; i < hidden; ++i) out[i] += x[i];
        for (int i = 0; i < hidden; ++i) out[i] /= static_cast<float>(texts.length(text));
    }
}

}  // namespace efive

// A BERT or XLM-R encoder over flat tokens: no padding, texts of a batch one after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "buffer.h"
#include "kernels.h"

namespace efive {

struct Shape {
    int hidden;
    int heads;
    int feed_forward;
    int longest;     ///< most tokens of one text
    int vocabulary;  ///< rows of the word table
    float epsilon;   ///< of the layer norms
};

/// Rows of words as the checkpoint stores them; the memory is the caller's and may be a mapped file.
struct WordTable {
    enum class Type { f32, f16, bf16, i8 };
    Type type;
    const void* values;   ///< vocabulary x hidden
    const float* scales;  ///< of each row, i8 only

    void read(std::int64_t row, int width, float* out) const;
};

/// Parameters of one layer, row-major floats that are read once.
struct LayerSource {
    struct Affine {
        const float* matrix;  ///< gain of a layer norm, or outputs x inputs
        const float* bias;
    };
    Affine qkv, output, output_norm, up, down, down_norm;
};

/// The memory of one `embed` call; threads that embed at once need one each.
class Workspace {
    friend class Encoder;
    Buffer<float> x, context, expanded, scores;
    Buffer<std::uint8_t> qkv, narrow, wide, keys, values, weights;
    Buffer<float> narrow_scales, wide_scales;
};

class Encoder {
public:
    /// `positions` (longest x hidden) includes the row of the token type. Floats are copied, the word table is not.
    Encoder(const Shape& shape, const Kernels& kernels, WordTable words, const float* positions,
            LayerSource::Affine norm);

    void add_layer(const LayerSource& source);

    /// Mean-pooled vectors (texts x hidden) of `ids` (texts x width), of whose rows `lengths` are real.
    void embed(Workspace& workspace, const std::int32_t* ids, int texts, int width, const std::int32_t* lengths,
               float* out) const;

    std::size_t bytes() const { return bytes_; }
    const Shape& shape() const { return shape_; }

private:
    struct OwnedLinear {
        Buffer<std::uint8_t> weights;
        Buffer<float> bias, scales;
        Buffer<std::int32_t> correction;
        Linear view;
    };
    struct OwnedNorm {
        Buffer<float> gain, bias;
        Norm view;
    };
    struct Layer {
        OwnedLinear qkv, output, up, down;
        OwnedNorm output_norm, down_norm;
    };

    OwnedLinear linear(LayerSource::Affine source, int outputs, int inputs);
    OwnedNorm norm(LayerSource::Affine source);
    void reserve(Workspace& workspace, std::size_t tokens, int longest) const;
    void look_up(const std::int32_t* ids, int texts, int width, const std::int32_t* lengths, float* x) const;
    void attend(Workspace& w, int texts, const std::int32_t* lengths) const;
    void after_attention(Workspace& w, const Layer& layer, std::size_t first, int rows) const;
    void project(Workspace& w, const Layer& layer, std::size_t first, int rows) const;
    Rows narrow(Workspace& w) const;

    std::size_t bytes_ = 0;  // before what adds to it while it is made
    Shape shape_;
    const Kernels& kernels_;
    WordTable words_;
    Buffer<float> positions_;
    OwnedNorm norm_;
    std::vector<Layer> layers_;
};

}  // namespace efive

// A BERT or XLM-R encoder over flat tokens: no padding, texts of a batch one after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "buffer.h"
#include "kernels.h"
#include "team.h"

namespace efive {

struct Shape {
    int hidden;
    int heads;
    int feed_forward;
    int layers;
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

/// The memory and the threads of one `embed` call; calls at the same time need one each.
class Workspace {
public:
    explicit Workspace(int threads = 1) : team(threads), members(threads) {}

private:
    friend class Encoder;
    /// What a thread needs while it works on a chunk of tokens, or on a head.
    struct Member {
        Buffer<float> expanded, scores, narrow_scales, wide_scales;
        Buffer<std::uint8_t> narrow, wide, keys, values, weights;
    };
    Team team;
    std::vector<Member> members;
    Buffer<float> x, context;
    Buffer<std::uint8_t> qkv;
};

/// Texts one after the other.
struct Texts {
    const std::int32_t* ids;  ///< count x width
    int count;
    int width;
    std::vector<std::size_t> starts;  ///< flat token where each text begins; one more, the end of the last

    std::size_t tokens() const { return starts.back(); }
    int length(int text) const { return static_cast<int>(starts[text + 1] - starts[text]); }
};

class Encoder {
public:
    /// With `packed`, the parameters are those that another encoder of the same shape and kernels has packed; the
    /// memory is the caller's and may be a mapped file. Without, they are set before the first `embed`.
    Encoder(const Shape& shape, const Kernels& kernels, WordTable words, const std::uint8_t* packed = nullptr);

    /// `positions` (longest x hidden) includes the row of the token type.
    void set_embeddings(const float* positions, LayerSource::Affine norm);
    void set_layer(int index, const LayerSource& source);

    /// Mean-pooled vectors (texts x hidden) of `ids` (texts x width), of whose rows `lengths` are real.
    void embed(Workspace& workspace, const std::int32_t* ids, int texts, int width, const std::int32_t* lengths,
               float* out) const;

    const std::uint8_t* packed() const { return packed_; }
    std::size_t bytes() const { return bytes_; }
    const Shape& shape() const { return shape_; }

private:
    struct Layer {
        Linear qkv, output, up, down;
        Norm output_norm, down_norm;
    };

    std::size_t lay_out(std::uint8_t* memory);
    void reserve(Workspace& workspace, std::size_t tokens, int longest) const;
    template <class Do>
    void in_chunks(Team& team, std::size_t tokens, const Do& run) const;
    void look_up(const Texts& texts, std::size_t first, int rows, float* x) const;
    void attend(Workspace& w, const Texts& texts) const;
    void after_attention(Workspace& w, Workspace::Member& m, const Layer& layer, std::size_t first, int rows) const;
    void project(Workspace& w, Workspace::Member& m, const Layer& layer, std::size_t first, int rows) const;
    void pool(const Texts& texts, const float* x, float* out) const;
    Rows narrow(Workspace::Member& m) const;

    Shape shape_;
    const Kernels& kernels_;
    WordTable words_;
    Buffer<std::uint8_t> owned_;
    const std::uint8_t* packed_;
    std::size_t bytes_ = 0;
    // Views of the packed parameters.
    float* positions_;
    Norm norm_;
    std::vector<Layer> layers_;
};

}  // namespace efive

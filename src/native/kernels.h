// What the encoder asks of an instruction set: a table of functions, one table per instruction set and precision.
//
// The encoder is compiled for any x86-64 processor and sees only this file. Each instruction set has a source file
// of its own, compiled with its own flags, that fills the table from the templates in linear.h, attention.h and rowwise.h.
// Memory is the encoder's: a standard template instantiated in a file of an instruction set could replace, when linked,
// the one that every processor runs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace efive {

enum class Precision { fp32, bf16, int8 };

/// int8: this many neighbouring activations of a token share a scale, so that an outlier spoils only its own block.
inline constexpr int kBlock = 128;

constexpr int blocks_of(int width) { return (width + kBlock - 1) / kBlock; }

/// What `width` values take in activations and weights, where a row is filled up to whole cache lines.
constexpr std::size_t row_bytes(int width, std::size_t value_size) { return (width * value_size + 63) / 64 * 64; }

/// Activations of several tokens in the format of the matrix products, one row a token; `place` knows where.
struct Rows {
    std::uint8_t* data;
    std::size_t stride;  ///< bytes from row to row, or from panel to panel
    float* scales;       ///< of each row its blocks', int8 only: value = code * scale
};

/// A linear layer, packed for one instruction set and precision; sizes are multiples of 16.
struct Linear {
    int outputs;
    int inputs;
    std::uint8_t* weights;     ///< outputs x row_bytes(inputs)
    float* bias;               ///< of each output
    float* scales;             ///< of each output, int8 only
    std::int32_t* correction;  ///< blocks x outputs, int8 only: undoes the offset of unsigned activations
};

/// A layer norm.
struct Norm {
    float* gain;
    float* bias;
    float epsilon;
};

/// Heads of a layer, of which `attend` computes those from `first` up to `last`.
struct Heads {
    int count;
    int size;  ///< components of one
    int first;
    int last;
};

/// Working memory of `attend` for texts of up to `tokens` tokens, a multiple of 32; heads of 16 get room for 32.
struct AttentionScratch {
    std::uint8_t* keys;     ///< tokens x head size, in the attended format
    std::uint8_t* values;   ///< the same
    float* scores;          ///< kMostTileRows x tokens
    std::uint8_t* weights;  ///< the same, in the attended format
};

inline constexpr int kMostTileRows = 16;

struct Kernels {
    int tile_rows;              ///< tokens that matrix products take at once
    int chunk;                  ///< tokens of a call at most, those of `attend` aside
    bool panels;                ///< how activations lie, see `place`
    std::size_t value_size;     ///< bytes of one activation in `Rows`
    std::size_t attended_size;  ///< bytes of one component of queries, keys and values

    /// Pack a matrix (outputs x inputs, row-major) into the memory of `layer`.
    void (*pack)(const float* matrix, const Linear& layer);
    /// Normalise each row of x in place, and write it to `out` as well.
    void (*norm)(float* x, int rows, int width, const Norm& norm, Rows out);
    /// Write rows of floats to `out`.
    void (*convert)(const float* x, int rows, int width, Rows out);
    /// Queries, keys and values: out = layer(in), in the format that `attend` reads.
    void (*project)(Rows in, int rows, const Linear& layer, std::uint8_t* out);
    /// out = GELU(layer(in)); `scratch` holds rows x kBlock floats, int8 only.
    void (*expand)(Rows in, int rows, const Linear& layer, float* scratch, Rows out);
    /// x += layer(in).
    void (*add)(Rows in, int rows, const Linear& layer, float* x);
    /// Attention within one text: qkv (tokens x 3 hidden) to the part of `heads` in context (tokens x hidden). Queries
    /// are scaled for exp2.
    void (*attend)(const std::uint8_t* qkv, int tokens, const Heads& heads, float* context,
                   const AttentionScratch& scratch);
};

/// Bytes from one row, or panel, of activations to the next. Panels are an odd number of cache lines apart, so that
/// those of the same rows do not meet in the same sets of the first-level cache.
constexpr std::size_t activation_stride(const Kernels& kernels, int width) {
    return kernels.panels ? std::size_t(kernels.chunk + 1) * 64 : row_bytes(width, kernels.value_size);
}

/// Bytes of a chunk's activations.
constexpr std::size_t activation_bytes(const Kernels& kernels, int width) {
    return (kernels.chunk + 1) * row_bytes(width, kernels.value_size);
}

}  // namespace efive

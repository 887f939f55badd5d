// The Python module efive.engines._native: checks what comes in, keeps alive what is borrowed, releases the GIL.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "checksum.h"
#include "encoder.h"
#include "isa.h"

namespace nb = nanobind;

namespace efive {
namespace {

using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Vector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ids = nb::ndarray<const std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Lengths = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Table = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const std::uint8_t, nb::numpy, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Result = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void demand(bool holds, const char* message) {
    if (!holds) throw std::invalid_argument(message);
}

Precision precision_of(const std::string& name) {
    if (name == "fp32") return Precision::fp32;
    if (name == "bf16") return Precision::bf16;
    if (name == "int8") return Precision::int8;
    throw std::invalid_argument("no precision " + name);
}

/// Kernels that can be executed here; those that are not proven are for `check` only.
const Kernels& kernels_of(const std::string& isa, const std::string& precision, bool proven = true) {
    for (const InstructionSet& each : kIsas)
        if (each.name == isa) {
            demand(each.present(), "this processor lacks the instruction set");
            demand(!proven || each.proven(), "the kernels of the instruction set are wrong on this processor");
            const Kernels* kernels = each.kernels(precision_of(precision));
            demand(kernels, "the instruction set lacks the precision");
            return *kernels;
        }
    throw std::invalid_argument("no instruction set " + isa);
}

/// Names of the instruction sets that are built and that this processor has, best first; emulated ones if asked for.
std::vector<std::string> instruction_sets(const std::string& precision, bool emulated) {
    std::vector<std::string> found;
    for (const InstructionSet& each : kIsas)
        if ((!each.emulated || emulated) && each.kernels(precision_of(precision)) && each.supported())
            found.emplace_back(each.name);
    return found;
}

/// What kernels compute otherwise than they should, or an empty text.
std::string check(const std::string& isa, const std::string& precision) {
    return difference(kernels_of(isa, precision, false), precision_of(precision), false);
}

WordTable::Type type_of(const std::string& name, const Table& words) {
    const auto is = [&](const char* stored, std::size_t size) { return name == stored && words.itemsize() == size; };
    if (is("F32", 4)) return WordTable::Type::f32;
    if (is("F16", 2)) return WordTable::Type::f16;
    if (is("BF16", 2)) return WordTable::Type::bf16;
    if (is("I8", 1)) return WordTable::Type::i8;
    throw std::invalid_argument("no word table of " + name);
}

LayerSource::Affine affine(const Matrix& matrix, const Vector& bias, int outputs, int inputs) {
    demand(matrix.shape(0) == std::size_t(outputs) && matrix.shape(1) == std::size_t(inputs), "a matrix has the wrong shape");
    demand(bias.shape(0) == std::size_t(outputs), "a bias has the wrong size");
    return {matrix.data(), bias.data()};
}

LayerSource::Affine affine(const Vector& gain, const Vector& bias, int width) {
    demand(gain.shape(0) == std::size_t(width) && bias.shape(0) == std::size_t(width), "a layer norm has the wrong size");
    return {gain.data(), bias.data()};
}

std::uint64_t checksum_of(const Bytes& data) {
    nb::gil_scoped_release release;
    return checksum(data.data(), data.size());
}

Workspace* workspace(int threads) {
    demand(threads >= 1, "a workspace needs at least one thread");
    return new Workspace(threads);
}

/// An encoder with the word table that it borrows.
class BoundEncoder {
public:
    BoundEncoder(const std::string& isa, const std::string& precision, int heads, int feed_forward, int layers,
                 int longest, float epsilon, const std::string& word_type, Table words, Vector word_scales,
                 std::optional<Bytes> packed)
        : words_(std::move(words)),
          scales_(std::move(word_scales)),
          packed_(std::move(packed)),
          encoder_(checked(heads, feed_forward, layers, longest, epsilon), kernels_of(isa, precision),
                   {type_of(word_type, words_), words_.data(), scales_.data()}, packed_ ? packed_->data() : nullptr) {
        demand(word_type != "I8" || scales_.shape(0) == words_.shape(0), "an int8 word table needs a scale for each row");
        demand(!packed_ || packed_->size() == encoder_.bytes(), "the packed weights have the wrong size");
    }

    void set_embeddings(const Matrix& positions, const Vector& gain, const Vector& bias) {
        const Shape& shape = encoder_.shape();
        demand(!packed_, "packed weights are complete");
        demand(positions.shape(0) == std::size_t(shape.longest) && positions.shape(1) == std::size_t(shape.hidden),
               "the position table has the wrong shape");
        encoder_.set_embeddings(positions.data(), affine(gain, bias, shape.hidden));
    }

    void set_layer(int index, const Matrix& qkv, const Vector& qkv_bias, const Matrix& output,
                   const Vector& output_bias, const Vector& output_gain, const Vector& output_shift, const Matrix& up,
                   const Vector& up_bias, const Matrix& down, const Vector& down_bias, const Vector& down_gain,
                   const Vector& down_shift) {
        const int hidden = encoder_.shape().hidden, wide = encoder_.shape().feed_forward;
        demand(!packed_ && index >= 0 && index < encoder_.shape().layers, "there is no such layer to set");
        const LayerSource source{affine(qkv, qkv_bias, 3 * hidden, hidden), affine(output, output_bias, hidden, hidden),
                                 affine(output_gain, output_shift, hidden), affine(up, up_bias, wide, hidden),
                                 affine(down, down_bias, hidden, wide), affine(down_gain, down_shift, hidden)};
        nb::gil_scoped_release release;
        encoder_.set_layer(index, source);
    }

    void embed(Workspace& workspace, const Ids& ids, const Lengths& lengths, const Result& out) const {
        const Shape& shape = encoder_.shape();
        const std::size_t texts = ids.shape(0), width = ids.shape(1);
        demand(lengths.shape(0) == texts, "there is not one length for each text");
        demand(out.shape(0) == texts && out.shape(1) == std::size_t(shape.hidden), "the result has the wrong shape");
        for (std::size_t text = 0; text < texts; ++text) {
            const std::int32_t length = lengths.data()[text];
            demand(length >= 1 && std::size_t(length) <= width && length <= shape.longest, "a length is out of range");
            for (std::int32_t token = 0; token < length; ++token) {
                const std::int32_t id = ids.data()[text * width + token];
                demand(id >= 0 && id < shape.vocabulary, "a token id is out of range");
            }
        }
        nb::gil_scoped_release release;
        encoder_.embed(workspace, ids.data(), static_cast<int>(texts), static_cast<int>(width), lengths.data(),
                       out.data());
    }

    std::size_t bytes() const { return encoder_.bytes(); }

    Bytes packed() const { return Bytes(encoder_.packed(), {encoder_.bytes()}, nb::find(this)); }

private:
    Shape checked(int heads, int feed_forward, int layers, int longest, float epsilon) const {
        const int hidden = static_cast<int>(words_.shape(1));
        demand(heads > 0 && hidden % heads == 0, "the width does not divide by the heads");
        const int size = hidden / heads;
        demand(size == 16 || size == 32 || size == 64, "heads have 16, 32 or 64 components");
        demand(feed_forward > 0 && feed_forward % 16 == 0, "the inner width is no multiple of 16");
        demand(layers >= 0 && longest > 0, "there are layers and positions");
        return {hidden, heads, feed_forward, layers, longest, static_cast<int>(words_.shape(0)), epsilon};
    }

    Table words_;
    Vector scales_;
    std::optional<Bytes> packed_;
    Encoder encoder_;
};

}  // namespace
}  // namespace efive

NB_MODULE(_native, module) {
    using namespace efive;
    using namespace nb::literals;
    module.def("instruction_sets", &instruction_sets, "precision"_a, "emulated"_a = false);
    module.def("check", &check, "isa"_a, "precision"_a);
    module.def("checksum", &checksum_of, "data"_a);
    nb::class_<Workspace>(module, "Workspace").def(nb::new_(&workspace), "threads"_a = 1);
    nb::class_<BoundEncoder>(module, "Encoder")
        .def(nb::init<const std::string&, const std::string&, int, int, int, int, float, const std::string&, Table,
                      Vector, std::optional<Bytes>>(),
             "isa"_a, "precision"_a, "heads"_a, "feed_forward"_a, "layers"_a, "longest"_a, "epsilon"_a, "word_type"_a,
             "words"_a, "word_scales"_a, "packed"_a.none())
        .def("set_embeddings", &BoundEncoder::set_embeddings, "positions"_a, "gain"_a, "bias"_a)
        .def("set_layer", &BoundEncoder::set_layer, "index"_a, "qkv"_a, "qkv_bias"_a, "output"_a, "output_bias"_a,
             "output_gain"_a, "output_shift"_a, "up"_a, "up_bias"_a, "down"_a, "down_bias"_a, "down_gain"_a,
             "down_shift"_a)
        .def("embed", &BoundEncoder::embed, "workspace"_a, "ids"_a, "lengths"_a, "out"_a)
        .def_prop_ro("packed", &BoundEncoder::packed)
        .def_prop_ro("bytes", &BoundEncoder::bytes);
}

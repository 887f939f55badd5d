// Random encoders and batches under the sanitizers: every instruction set and precision that this processor has, heads
// of every size, lengths 1 to 512, ids at the edges, teams of threads. A text must also have the same vector alone and
// among others, and whatever the number of threads; and each kernel must agree with its reference.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "encoder.h"
#include "isa.h"

namespace {

using efive::LayerSource;
using Floats = std::vector<float>;

std::mt19937 generator(0);

int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator); }

Floats noise(std::size_t size, float mean = 0) {
    std::normal_distribution<float> normal(mean, 0.1f);
    Floats values(size);
    for (float& value : values) value = normal(generator);
    return values;
}

/// Parameters of one affine map, kept while they are packed.
struct Affine {
    Floats matrix, bias;
    LayerSource::Affine view() const { return {matrix.data(), bias.data()}; }
};

Affine linear(int outputs, int inputs) { return {noise(std::size_t(outputs) * inputs), noise(outputs)}; }
Affine norm(int width) { return {noise(width, 1), noise(width)}; }

efive::Encoder random_encoder(const efive::Shape& shape, const efive::Kernels& kernels, const Floats& words) {
    const Affine first = norm(shape.hidden);
    const Floats positions = noise(std::size_t(shape.longest) * shape.hidden);
    efive::Encoder encoder(shape, kernels, {efive::WordTable::Type::f32, words.data(), nullptr});
    encoder.set_embeddings(positions.data(), first.view());
    for (int layer = 0; layer < shape.layers; ++layer) {
        const int hidden = shape.hidden, wide = shape.feed_forward;
        const Affine qkv = linear(3 * hidden, hidden), output = linear(hidden, hidden), up = linear(wide, hidden),
                     down = linear(hidden, wide), after = norm(hidden), last = norm(hidden);
        encoder.set_layer(layer, {qkv.view(), output.view(), after.view(), up.view(), down.view(), last.view()});
    }
    return encoder;
}

/// Embeds one random batch, and one of its texts again alone, with one thread. Arrays have exactly the size that may be read.
void check(const efive::Encoder& encoder, efive::Workspace& workspace) {
    const efive::Shape& shape = encoder.shape();
    const int texts = between(1, 6);
    std::vector<std::int32_t> lengths(texts);
    for (auto& length : lengths) length = between(0, 3) ? between(1, 40) : between(1, shape.longest);
    const int width = *std::max_element(lengths.begin(), lengths.end());
    std::vector<std::int32_t> ids(std::size_t(texts) * width);
    for (auto& id : ids) id = between(0, 9) ? between(0, shape.vocabulary - 1) : (shape.vocabulary - 1) * between(0, 1);
    Floats together(std::size_t(texts) * shape.hidden), alone(shape.hidden);
    encoder.embed(workspace, ids.data(), texts, width, lengths.data(), together.data());
    const int one = between(0, texts - 1);
    efive::Workspace fresh;
    encoder.embed(fresh, ids.data() + std::size_t(one) * width, 1, width, lengths.data() + one, alone.data());
    const bool finite = std::all_of(together.begin(), together.end(), [](float x) { return std::isfinite(x); });
    const float* found = together.data() + std::size_t(one) * shape.hidden;
    if (!finite || std::memcmp(alone.data(), found, alone.size() * sizeof(float)) != 0) {
        std::fprintf(stderr, "a text of %d tokens has another vector alone, or one that is not finite\n", lengths[one]);
        std::exit(1);
    }
}

}  // namespace

int main(int count, char** arguments) {
    const int batches = count > 1 ? std::atoi(arguments[1]) : 20;
    for (const efive::InstructionSet& isa : efive::kIsas)
        for (const auto precision : {efive::Precision::fp32, efive::Precision::bf16, efive::Precision::int8}) {
            const efive::Kernels* kernels = isa.supported() ? isa.kernels(precision) : nullptr;
            if (!kernels) continue;
            if (const std::string wrong = efive::difference(*kernels, precision, false); !wrong.empty()) {
                std::fprintf(stderr, "%s: %s\n", isa.name, wrong.c_str());
                return 1;
            }
            for (const int head : {16, 32, 64}) {
                const int heads = between(1, 5);
                const efive::Shape shape{head * heads, heads, 16 * between(1, 25), 2, 512, between(2, 300), 1e-12f};
                const Floats words = noise(std::size_t(shape.vocabulary) * shape.hidden);
                const efive::Encoder encoder = random_encoder(shape, *kernels, words);
                efive::Workspace workspace(between(1, 4));
                for (int batch = 0; batch < batches; ++batch) check(encoder, workspace);
            }
            std::printf("%s, precision %d: %d batches of each head size\n", isa.name, int(precision), batches);
        }
}

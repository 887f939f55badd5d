// Attention of one text, head by head: scores, softmax and context of a few queries at a time, so that the scores
// stay in the first-level cache.
#pragma once

#include "linear.h"

namespace efive {

template <class I, class F, int D>
class Head {
    using Value = typename F::Value;
    static constexpr int kValue = sizeof(Value);
    static constexpr int kContextVectors = D / I::kLanes;

public:
    /// `queries` points to this head's part of the first token; keys and values follow at their distances.
    Head(const std::uint8_t* queries, std::size_t stride, int tokens, int hidden, const AttentionScratch& scratch)
        : queries_(queries), stride_(stride), tokens_(tokens), padded_((tokens + 15) / 16 * 16), scratch_(scratch) {
        pack_keys(queries + hidden * kValue);
        pack_values(queries + 2 * hidden * kValue);
    }

    void attend(float* context, int hidden) const {
        for (int query = 0; query < tokens_; query += I::kTileRows) {
            const int count = tokens_ - query < I::kTileRows ? tokens_ - query : I::kTileRows;
            const Operands keys{queries_ + query * stride_, stride_, scratch_.keys, padded_ / I::kLanes, D / F::kGroup};
            multiply<I, F>(keys, count, [&](int row, int column, typename I::Floats scores) EFIVE_LAMBDA {
                I::store(scratch_.scores + row * padded_ + column, scores);
            });
            float inverse[I::kTileRows];
            for (int row = 0; row < count; ++row) inverse[row] = 1 / softmax(row);
            float* target = context + std::size_t(query) * hidden;
            const Operands values{scratch_.weights, std::size_t(padded_) * kValue, scratch_.values, kContextVectors,
                                  padded_ / F::kGroup};
            multiply<I, F>(values, count, [&](int row, int column, typename I::Floats sums) EFIVE_LAMBDA {
                I::store(target + row * hidden + column, I::mul(sums, I::set(inverse[row])));
            });
        }
    }

private:
    /// Keys become the columns of the scores; those beyond the text are zero.
    void pack_keys(const std::uint8_t* keys) {
        for (int token = 0; token < padded_; ++token) {
            const PackedColumn<I> column(token, padded_ / I::kLanes, D / F::kGroup);
            const std::uint8_t* key = token < tokens_ ? keys + token * stride_ : kNothing;
            std::uint8_t* target = scratch_.keys + column.start;
            for (int g = 0; g < D / F::kGroup; ++g) std::memcpy(target + g * column.step, key + 4 * g, 4);
        }
    }

    /// Components become the columns of the context, tokens are summed over; those beyond the text are zero.
    void pack_values(const std::uint8_t* values) {
        for (int token = 0; token < padded_; token += F::kGroup) {
            const std::uint8_t* rows[F::kGroup];
            for (int t = 0; t < F::kGroup; ++t) rows[t] = token + t < tokens_ ? values + (token + t) * stride_ : kNothing;
            for (int vector = 0; vector < kContextVectors; ++vector) {
                const PackedColumn<I> column(vector * I::kLanes, kContextVectors, padded_ / F::kGroup);
                I::store_bits(scratch_.values + column.start + token / F::kGroup * column.step, F::columns(rows));
                for (auto& row : rows) row += I::kLanes * kValue;
            }
        }
    }

    /// Turns a row of scores into weights 2^(score - largest), and returns their sum.
    float softmax(int row) const {
        float* scores = scratch_.scores + row * padded_;
        // Beyond the text the weight is 2^-126, and meets values of zero.
        for (int i = tokens_ / I::kLanes * I::kLanes; i < padded_; i += I::kLanes)
            I::store(scores + i, I::first_lanes(tokens_ - i, I::load(scores + i), I::set(-1e30f)));
        auto largest = I::load(scores);
        for (int i = I::kLanes; i < padded_; i += I::kLanes) largest = I::max(largest, I::load(scores + i));
        const auto top = I::set(I::maximum(largest));
        std::uint8_t* weights = scratch_.weights + row * padded_ * kValue;
        auto total = I::set(0);
        for (int i = 0; i < padded_; i += I::kLanes) {
            const auto weight = exp2<I>(I::sub(I::load(scores + i), top));
            total = I::add(total, weight);
            F::store(weights + i * kValue, weight);
        }
        return I::sum(total);
    }

    alignas(64) static constexpr std::uint8_t kNothing[D * kValue] = {};

    const std::uint8_t* queries_;
    std::size_t stride_;
    int tokens_;
    int padded_;
    const AttentionScratch& scratch_;
};

template <class I, class F, int D>
void attend_heads(const std::uint8_t* qkv, int tokens, int heads, float* context, const AttentionScratch& scratch) {
    const int hidden = heads * D, size = sizeof(typename F::Value);
    for (int head = 0; head < heads; ++head)
        Head<I, F, D>(qkv + head * D * size, std::size_t(3) * hidden * size, tokens, hidden, scratch)
            .attend(context + head * D, hidden);
}

template <class I, class F>
void attend(const std::uint8_t* qkv, int tokens, int heads, int head_size, float* context,
            const AttentionScratch& scratch) {
    switch (head_size) {
        case 16: return attend_heads<I, F, 16>(qkv, tokens, heads, context, scratch);
        case 32: return attend_heads<I, F, 32>(qkv, tokens, heads, context, scratch);
        case 64: return attend_heads<I, F, 64>(qkv, tokens, heads, context, scratch);
    }
}

}  // namespace efive

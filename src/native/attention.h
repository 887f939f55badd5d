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
        : queries_(queries),
          stride_(stride),
          tokens_(tokens),
          padded_((tokens + 15) / 16 * 16),
          groups_((tokens + F::kGroup - 1) / F::kGroup),
          scratch_(scratch) {
        pack_keys(queries + hidden * kValue);
        pack_values(queries + 2 * hidden * kValue);
    }

    void attend(float* context, int hidden) const {
        for (int query = 0; query < tokens_; query += I::kTileRows) {
            const int count = tokens_ - query < I::kTileRows ? tokens_ - query : I::kTileRows;
            const Operands keys{queries_ + query * stride_, stride_, scratch_.keys, padded_ / I::kLanes, D / F::kGroup};
            const auto keep = [&](int row, int column, typename I::Floats sums) EFIVE_LAMBDA {
                I::store(scores(row) + column, sums);
            };
            multiply<I, F>(keys, count, 0, keys.vectors, keep);
            float inverse[I::kTileRows];
            softmax(inverse);
            float* target = context + std::size_t(query) * hidden;
            const Operands values{scratch_.weights, std::size_t(padded_) * kValue, scratch_.values, kContextVectors,
                                  groups_};
            const auto finish = [&](int row, int column, typename I::Floats sums) EFIVE_LAMBDA {
                I::store(target + row * hidden + column, I::mul(sums, I::set(inverse[row])));
            };
            multiply<I, F>(values, count, 0, values.vectors, finish);
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
        for (int group = 0, token = 0; group < groups_; ++group, token += F::kGroup) {
            const std::uint8_t* rows[F::kGroup];
            for (int t = 0; t < F::kGroup; ++t)
                rows[t] = token + t < tokens_ ? values + (token + t) * stride_ : kNothing;
            for (int vector = 0; vector < kContextVectors; ++vector) {
                const PackedColumn<I> column(vector * I::kLanes, kContextVectors, groups_);
                I::store_bits(scratch_.values + column.start + group * column.step, F::columns(rows));
                for (auto& row : rows) row += I::kLanes * kValue;
            }
        }
    }

    /// Turns scores into weights 2^(score - the row's largest), and finds what makes each row's sum 1.
    ///
    /// All rows of a tile side by side, whether it has them or not: one row alone would wait for its own results.
    void softmax(float (&inverse)[I::kTileRows]) const {
        mask();
        typename I::Floats top[I::kTileRows], total[I::kTileRows];
        for (int row = 0; row < I::kTileRows; ++row) top[row] = I::load(scores(row));
        for (int i = I::kLanes; i < padded_; i += I::kLanes)
            for (int row = 0; row < I::kTileRows; ++row) top[row] = I::max(top[row], I::load(scores(row) + i));
        for (int row = 0; row < I::kTileRows; ++row) {
            top[row] = I::set(I::maximum(top[row]));
            total[row] = I::set(0);
        }
        for (int i = 0; i < padded_; i += I::kLanes)
            for (int row = 0; row < I::kTileRows; ++row) {
                const auto weight = exp2<I>(I::sub(I::load(scores(row) + i), top[row]));
                total[row] = I::add(total[row], weight);
                F::store(scratch_.weights + (row * padded_ + i) * kValue, weight);
            }
        for (int row = 0; row < I::kTileRows; ++row) inverse[row] = 1 / I::sum(total[row]);
    }

    /// What is beyond the text weighs 2^-126, and meets values of zero.
    void mask() const {
        for (int i = tokens_ / I::kLanes * I::kLanes; i < padded_; i += I::kLanes)
            for (int row = 0; row < I::kTileRows; ++row)
                I::store(scores(row) + i, I::first_lanes(tokens_ - i, I::load(scores(row) + i), I::set(-1e30f)));
    }

    float* scores(int row) const { return scratch_.scores + row * padded_; }

    alignas(64) static constexpr std::uint8_t kNothing[D * kValue] = {};

    const std::uint8_t* queries_;
    std::size_t stride_;
    int tokens_;
    int padded_;
    int groups_;  ///< of tokens, as the values are packed
    const AttentionScratch& scratch_;
};

template <class I, class F, int D>
void attend_heads(const std::uint8_t* qkv, int tokens, const Heads& heads, float* context,
                  const AttentionScratch& scratch) {
    const int hidden = heads.count * D, size = sizeof(typename F::Value);
    for (int head = heads.first; head < heads.last; ++head)
        Head<I, F, D>(qkv + head * D * size, std::size_t(3) * hidden * size, tokens, hidden, scratch)
            .attend(context + head * D, hidden);
}

template <class I, class F>
void attend(const std::uint8_t* qkv, int tokens, const Heads& heads, float* context, const AttentionScratch& scratch) {
    switch (heads.size) {
        case 16: return attend_heads<I, F, 16>(qkv, tokens, heads, context, scratch);
        case 32: return attend_heads<I, F, 32>(qkv, tokens, heads, context, scratch);
        case 64: return attend_heads<I, F, 64>(qkv, tokens, heads, context, scratch);
    }
}

}  // namespace efive

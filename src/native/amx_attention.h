// Attention of one text with tiles, head by head, sixteen queries at a time.
//
// Scores are computed with keys as rows and queries as columns. So the softmax runs over vectors of sixteen queries,
// without sums across a vector and without masks: what lies beyond the text is never weighed. The context comes out
// with components as rows, and is turned when it is written.
#pragma once

#include "amx_linear.h"

namespace efive {

/// Vectors of 16 numbers of 4 bytes: rows become columns.
template <class I, int D = 8>
EFIVE_INLINE void transpose(typename I::Bits (&rows)[16]) {
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
        if (!(i & D)) I::template exchange<D>(rows[i], rows[i + D]);
    if constexpr (D > 1) transpose<I, D / 2>(rows);
}

template <class I, class T, int D>
class TiledHead {
    static constexpr int kValue = 2;                  ///< bytes of a bf16
    static constexpr int kDepth = D < 32 ? 32 : D;    ///< components of keys and queries, filled up to whole steps
    static constexpr int kKeyBytes = kDepth * kValue;
    static constexpr int kKeySteps = kKeyBytes / kStepBytes;
    static constexpr int kParts = D / kTileSide;      ///< tiles of the context
    static constexpr int kTokens = kStepBytes / kValue;  ///< in a step of the context

public:
    /// `queries` points to this head's part of the first token; keys and values follow at their distances.
    TiledHead(const std::uint8_t* queries, std::size_t stride, int tokens, int hidden, const AttentionScratch& scratch,
              T& tiles)
        : queries_(queries),
          stride_(stride),
          tokens_(tokens),
          padded_((tokens + kTokens - 1) / kTokens * kTokens),
          scratch_(scratch),
          tiles_(tiles) {
        pack_keys(queries + hidden * kValue);
        pack_values(queries + 2 * hidden * kValue);
    }

    void attend(float* context, int hidden) {
        for (int query = 0; query < tokens_; query += kTileSide) {
            score(query);
            const auto total = softmax();
            weigh(total);
            write(context + std::size_t(query) * hidden, hidden, min(kTileSide, tokens_ - query));
        }
    }

private:
    static constexpr int min(int a, int b) { return a < b ? a : b; }

    /// Keys follow each other, for a tile's rows at the distance of whole models would fall into few sets of the cache.
    void pack_keys(const std::uint8_t* keys) {
        std::uint8_t* target = scratch_.keys;
        for (int token = 0; token < padded_; ++token, target += kKeyBytes) {
            if (token >= tokens_ || D < kDepth) std::memset(target, 0, kKeyBytes);
            if (token < tokens_) std::memcpy(target, keys + token * stride_, D * kValue);
        }
    }

    /// Steps of 32 tokens; in them tiles of 16 components, whose rows have a component of each of the tokens.
    void pack_values(const std::uint8_t* values) {
        for (int first = 0; first < padded_; first += kTokens)
            for (int part = 0; part < kParts; ++part) {
                typename I::Bits rows[16];
                for (int pair = 0; pair < 16; ++pair) {
                    const int token = first + 2 * pair;
                    const std::uint8_t* source = values + token * stride_ + part * kTileSide * kValue;
                    rows[pair] = token + 1 < tokens_ ? I::pairs(source, source + stride_)
                                 : token < tokens_   ? I::pairs(source)
                                                     : I::no_bits();
                }
                transpose<I>(rows);
                std::uint8_t* target = scratch_.values + (first / kTokens * kParts + part) * kTileBytes;
                for (int row = 0; row < 16; ++row) I::store_bits(target + row * kStepBytes, rows[row]);
            }
    }

    /// Queries become the columns of tiles whose rows are pairs of components; those beyond the text are zero.
    EFIVE_INLINE void load_queries(int first) {
        alignas(64) std::uint8_t packed[kKeySteps * kTileBytes];
        for (int step = 0; step < kKeySteps; ++step) {
            typename I::Bits rows[16];
            for (int i = 0; i < 16; ++i) {
                const std::uint8_t* query = queries_ + (first + i) * stride_ + step * kStepBytes;
                rows[i] = first + i >= tokens_ ? I::no_bits() : D < kDepth ? I::load_half(query) : I::load_bits(query);
            }
            transpose<I>(rows);
            for (int i = 0; i < 16; ++i) I::store_bits(packed + step * kTileBytes + i * kStepBytes, rows[i]);
        }
        tiles_.template load<6>(packed, kStepBytes);
        if constexpr (kKeySteps > 1) tiles_.template load<7>(packed + kTileBytes, kStepBytes);
    }

    /// scores (keys x 16) of the queries from `first` on.
    EFIVE_INLINE void score(int first) {
        load_queries(first);
        for (int key = 0; key < padded_; key += 2 * kTileSide) {
            const std::uint8_t* keys = scratch_.keys + key * kKeyBytes;
            const std::uint8_t* next = keys + kTileSide * kKeyBytes;
            tiles_.template zero<0>();
            tiles_.template zero<1>();
            tiles_.template load<4>(keys, kKeyBytes);
            tiles_.template dot_bf16<0, 4, 6>();
            tiles_.template load<5>(next, kKeyBytes);
            tiles_.template dot_bf16<1, 5, 6>();
            if constexpr (kKeySteps > 1) {
                tiles_.template load<4>(keys + kStepBytes, kKeyBytes);
                tiles_.template dot_bf16<0, 4, 7>();
                tiles_.template load<5>(next + kStepBytes, kKeyBytes);
                tiles_.template dot_bf16<1, 5, 7>();
            }
            tiles_.template store<0>(scratch_.scores + key * kTileSide, kStepBytes);
            tiles_.template store<1>(scratch_.scores + (key + kTileSide) * kTileSide, kStepBytes);
        }
    }

    /// Turns scores into weights 2^(score - largest), keys in pairs, and returns the sums of each query.
    EFIVE_INLINE typename I::Floats softmax() {
        const float* scores = scratch_.scores;
        auto largest = I::load(scores), other = largest;
        int key = 1;
        for (; key + 1 < tokens_; key += 2) {
            largest = I::max(largest, I::load(scores + key * I::kLanes));
            other = I::max(other, I::load(scores + (key + 1) * I::kLanes));
        }
        if (key < tokens_) largest = I::max(largest, I::load(scores + key * I::kLanes));
        largest = I::max(largest, other);
        const auto weight = [&](int key) EFIVE_LAMBDA {
            return exp2<I>(I::sub(I::load(scores + key * I::kLanes), largest));
        };
        auto total = I::set(0), other_total = total;
        std::uint8_t* weights = scratch_.weights;
        for (key = 0; key + 1 < tokens_; key += 2, weights += kStepBytes) {
            const auto even = weight(key), odd = weight(key + 1);
            total = I::add(total, even);
            other_total = I::add(other_total, odd);
            I::store_bits(weights, I::pairs_of(even, odd));
        }
        if (key < tokens_) {
            const auto even = weight(key);
            total = I::add(total, even);
            I::store_bits(weights, I::pairs_of(even, I::set(0)));
            key += 2;
            weights += kStepBytes;
        }
        for (; key < padded_; key += 2, weights += kStepBytes) I::store_bits(weights, I::no_bits());
        return I::add(total, other_total);
    }

    /// context_ = (values by weights) / total, components as rows.
    EFIVE_INLINE void weigh(typename I::Floats total) {
        sum_values<0>();
        if constexpr (kParts > 2) sum_values<2>();
        const auto inverse = I::div(I::set(1), total);
        for (int i = 0; i < D; ++i) {
            float* row = context_ + i * I::kLanes;
            I::store(row, I::mul(I::load(row), inverse));
        }
    }

    /// Two tiles of components, or the one that there is.
    template <int P>
    EFIVE_INLINE void sum_values() {
        constexpr bool kBoth = P + 1 < kParts;
        tiles_.template zero<2>();
        if constexpr (kBoth) tiles_.template zero<3>();
        for (int step = 0; step < padded_ / kTokens; ++step) {
            const std::uint8_t* values = scratch_.values + (step * kParts + P) * kTileBytes;
            tiles_.template load<6>(scratch_.weights + step * kTileBytes, kStepBytes);
            tiles_.template load<4>(values, kStepBytes);
            tiles_.template dot_bf16<2, 4, 6>();
            if constexpr (kBoth) {
                tiles_.template load<5>(values + kTileBytes, kStepBytes);
                tiles_.template dot_bf16<3, 5, 6>();
            }
        }
        tiles_.template store<2>(context_ + P * kTileSide * kTileSide, kStepBytes);
        if constexpr (kBoth) tiles_.template store<3>(context_ + (P + 1) * kTileSide * kTileSide, kStepBytes);
    }

    void write(float* context, int hidden, int count) const {
        for (int part = 0; part < kParts; ++part) {
            typename I::Bits rows[16];
            for (int i = 0; i < 16; ++i)
                rows[i] = I::load_bits(reinterpret_cast<const std::uint8_t*>(context_ + (part * 16 + i) * I::kLanes));
            transpose<I>(rows);
            float* target = context + part * kTileSide;
            for (int i = 0; i < count; ++i, target += hidden) I::store(target, I::as_floats(rows[i]));
        }
    }

    const std::uint8_t* queries_;
    std::size_t stride_;
    int tokens_;
    int padded_;
    const AttentionScratch& scratch_;
    T& tiles_;
    alignas(64) float context_[D * kTileSide];
};

template <class I, class T, int D>
void attend_tile_heads(const std::uint8_t* qkv, int tokens, const Heads& heads, float* context,
                       const AttentionScratch& scratch) {
    const int hidden = heads.count * D;
    T tiles;
    for (int head = heads.first; head < heads.last; ++head)
        TiledHead<I, T, D>(qkv + head * D * 2, std::size_t(6) * hidden, tokens, hidden, scratch, tiles)
            .attend(context + head * D, hidden);
}

template <class I, class F>
void attend_tiles(const std::uint8_t* qkv, int tokens, const Heads& heads, float* context,
                  const AttentionScratch& scratch) {
    using T = typename F::Tiles;
    switch (heads.size) {
        case 16: return attend_tile_heads<I, T, 16>(qkv, tokens, heads, context, scratch);
        case 32: return attend_tile_heads<I, T, 32>(qkv, tokens, heads, context, scratch);
        case 64: return attend_tile_heads<I, T, 64>(qkv, tokens, heads, context, scratch);
    }
}

}  // namespace efive

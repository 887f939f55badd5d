// Aligned memory that grows and is never copied.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace efive {

/// An array of trivial values, aligned to a cache line; large ones ask for huge pages.
template <class T>
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(std::size_t size) { reserve(size); }
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(data_); }

    /// Hold at least `size` values; what was there is lost when it grows. New memory is not initialised.
    void reserve(std::size_t size) {
        if (size <= size_) return;
        std::free(data_);
        data_ = nullptr;
        size_ = 0;
        const std::size_t alignment = size * sizeof(T) >= kHugePage ? kHugePage : kCacheLine;
        const std::size_t bytes = size * sizeof(T);
        void* memory = nullptr;
        if (posix_memalign(&memory, alignment, bytes)) throw std::bad_alloc();
        data_ = static_cast<T*>(memory);
#if defined(__linux__)
        if (alignment == kHugePage) madvise(data_, bytes, MADV_HUGEPAGE);  // a hint: refusal costs only speed
#endif
        size_ = size;
    }

    T* data() { return data_; }
    const T* data() const { return data_; }
    T& operator[](std::size_t i) { return data_[i]; }
    const T& operator[](std::size_t i) const { return data_[i]; }
    std::size_t bytes() const { return size_ * sizeof(T); }

private:
    void swap(Buffer& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

    static constexpr std::size_t kCacheLine = 64;
    static constexpr std::size_t kHugePage = std::size_t{1} << 21;

    T* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace efive

#include "team.h"

#include <pthread.h>
#include <unistd.h>

#include <system_error>

namespace efive {
namespace {

/// Looks at a value before going to sleep: longer than the pause between two pieces of work of a batch, some 50 µs.
constexpr int kLooks = 1000;

void wait_while(const std::atomic<int>& value, int held) {
    for (int look = 0; look < kLooks; ++look) {
        if (value.load(std::memory_order_relaxed) != held) return;
        __builtin_ia32_pause();
    }
    value.wait(held);
}

}  // namespace

Team::~Team() {
    if (!shared_) return;
    if (process_ != getpid()) {
        shared_.release();  // the helpers stayed behind in the process that forked: there is nobody to join
        return;
    }
    shared_->left = -1;
    shared_->left.notify_all();
    for (std::thread& helper : shared_->helpers) helper.join();
}

void Team::start() {
    shared_.release();
    shared_ = std::make_unique<Shared>();
    process_ = getpid();
    try {
        for (int member = 1; member < threads_; ++member)
            shared_->helpers.emplace_back(help, std::ref(*shared_), member);
    } catch (const std::system_error&) {
        // The container allows no more threads: those that there are do the work.
    }
}

/// Take an item; -1 if there is none. That the count is of now makes the item of now, whatever happened in between.
int Team::take(Shared& shared) {
    int left = shared.left.load();
    while (left > 0)
        if (shared.left.compare_exchange_weak(left, left - 1)) return shared.work.count - left;
    return -1;
}

void Team::share(Work work) {
    if (process_ != getpid()) start();
    Shared& shared = *shared_;
    shared.work = work;
    shared.done = 0;
    shared.left = work.count;
    shared.left.notify_all();
    for (int item; (item = take(shared)) >= 0; ++shared.done) work.call(work.task, item, 0);
    for (int done; (done = shared.done.load()) < work.count;) wait_while(shared.done, done);
}

void Team::help(Shared& shared, int member) {
#if defined(__linux__)
    pthread_setname_np(pthread_self(), "efive helper");  // what `top -H` shows
#endif
    while (shared.left.load() >= 0) {
        for (int item; (item = take(shared)) >= 0;) {
            const Work work = shared.work;
            work.call(work.task, item, member);
            if (++shared.done == work.count) shared.done.notify_one();
        }
        wait_while(shared.left, 0);
    }
}

}  // namespace efive

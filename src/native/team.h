// The threads that share the work of one batch.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace efive {

/// A caller and its helpers, which start with the first work and sleep when there is none.
///
/// The caller never waits for a helper that has taken nothing: one that sleeps, or that a fork left behind, costs speed
/// and no more. One caller at a time.
class Team {
public:
    explicit Team(int threads) : threads_(threads) {}
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;
    ~Team();

    int size() const { return threads_; }

    /// Run task(item, member) for every item below `count`, each once, in any order; member is below size(). `task`
    /// must not throw.
    template <class Task>
    void run(int count, const Task& task) {
        if (threads_ == 1 || count < 2) {
            for (int item = 0; item < count; ++item) task(item, 0);
            return;
        }
        share({count, &task, [](const void* erased, int item, int member) {
                   (*static_cast<const Task*>(erased))(item, member);
               }});
    }

private:
    struct Work {
        int count;
        const void* task;
        void (*call)(const void* task, int item, int member);
    };
    struct Shared {
        std::atomic<int> left{0};  ///< items that nobody has taken; negative: go home
        std::atomic<int> done{0};
        Work work{};  ///< to be read by who has taken an item, for then it stays until the item is done
        std::vector<std::thread> helpers;
    };

    void start();
    void share(Work work);
    static void help(Shared& shared, int member);
    static int take(Shared& shared);

    int threads_;
    long process_ = 0;
    std::unique_ptr<Shared> shared_;
};

}  // namespace efive

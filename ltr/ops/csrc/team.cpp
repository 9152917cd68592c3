// A team of threads that a busy machine does not hold up.
//
// OpenMP's loops end when every thread has had its turn. If other programs keep the cores busy, a thread that is not
// running comes back after milliseconds, and a frame has some 150 loops. Here a loop's parts are taken by whoever is
// there: the calling thread does all of them if nobody else comes, and waits only for parts that somebody has begun.
//
// A helper without work looks out for the next loop, which it then takes up sooner than one that has to be woken. On a
// busy machine that uses up the time that the system gives to this program, and a helper loses its core with a part in
// its hands. The team counts the time for which it is held up so; if that is too much, the calling thread works alone
// for a while, and for longer each time that the machine is still busy afterwards.
#include "team.h"

#include <pthread.h>
#include <time.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

namespace ebm {
namespace {

using Clock = std::chrono::steady_clock;
using Duration = Clock::duration;
using std::chrono::microseconds;

constexpr int64_t kPartsPerThread = 2;
constexpr Duration kPatience = microseconds(2'000);     // for which one looks out before one sleeps
constexpr Duration kPreempted = microseconds(300);      // without a look: another program has had the core
constexpr Duration kTolerated = microseconds(6'000);    // for which others may hold up the team,
constexpr int64_t kForgiven = 20;                       // besides a twentieth of the time
constexpr Duration kAlone = microseconds(100'000);      // for which the calling thread then works alone,
constexpr Duration kAlonest = microseconds(3'200'000);  // at most

using Part = void (*)(const void* loop, int64_t part);

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// For which the calling thread has had a core.
Duration running_time() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

class Team {
 public:
  // Calls part(loop, k), which must not throw, for k from 0 to parts - 1. Returns whether it did; not while another
  // thread has the team, nor while the machine is too busy for one.
  bool run(int64_t threads, int64_t parts, Part part, const void* loop) {
    const std::unique_lock<std::mutex> mine(running_, std::try_to_lock);
    if (!mine) return false;
    const auto start = Clock::now();
    const Duration ran = running_time();
    if (start < alone_until_) return false;
    for (; helpers_ < threads - 1; ++helpers_) {
      std::thread([this, number = helpers_] { help(number); }).detach();
    }
    part_.store(part, std::memory_order_relaxed);
    loop_.store(loop, std::memory_order_relaxed);
    wanted_.store(threads - 1, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    ++number_;
    left_.store(uint64_t(number_) << 32 | uint32_t(parts), std::memory_order_release);
    called_.store(number_);
    called_.notify_all();
    work(number_);
    const Duration work_time = running_time() - ran;
    look_out([&] { return done_.load(std::memory_order_acquire) == parts; });
    for (int32_t done; (done = done_.load(std::memory_order_acquire)) != parts;) done_.wait(done);
    judge(start, work_time, Clock::now());
    return true;
  }

 private:
  // Takes parts of a loop until none is left.
  void work(uint32_t number) {
    uint64_t left = left_.load(std::memory_order_acquire);
    while (left >> 32 == number && uint32_t(left) > 0) {
      const Part part = part_.load(std::memory_order_relaxed);
      const void* loop = loop_.load(std::memory_order_relaxed);
      // succeeds only while the loop is the same, which then waits for this part
      if (!left_.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel)) continue;
      part(loop, uint32_t(left) - 1);
      done_.fetch_add(1, std::memory_order_acq_rel);
      done_.notify_all();
      left = left_.load(std::memory_order_acquire);
    }
  }

  void help(int64_t helper) {
    for (uint32_t seen = 0;;) {
      if (!look_out([&] { return called_.load(std::memory_order_acquire) != seen; })) called_.wait(seen);
      seen = called_.load(std::memory_order_acquire);
      if (helper < wanted_.load(std::memory_order_relaxed)) work(seen);
    }
  }

  // Looks until it is `there`, but not for long. Returns whether it is.
  template <typename Condition>
  bool look_out(const Condition& there) {
    const auto start = Clock::now();
    for (auto last = start;;) {
      for (int i = 0; i < 8; ++i) {
        if (there()) return true;
        pause();
      }
      const auto now = Clock::now();
      if (now - last > kPreempted) held_up_ += (now - last).count();
      if (now - last > kPreempted || now - start > kPatience) return there();
      last = now;
    }
  }

  // Whether the team is still worth it, after a loop for which the calling thread worked so long. The parts are about
  // equal: if the loop took more than twice as long, that thread or the one it waited for was kept from running.
  void judge(Clock::time_point start, Duration worked, Clock::time_point end) {
    const Duration held = end - start - 2 * worked;
    const Duration before(held_up_.load()), forgiven = std::min(before, (end - judged_) / kForgiven);
    const Duration more = (held > kPreempted ? held : Duration::zero()) - forgiven;
    held_up_ += more.count();  // helpers add to it at the same time
    judged_ = end;
    if (before + more < kTolerated) return;
    alone_for_ = end - alone_until_ < alone_for_ ? std::min(2 * alone_for_, kAlonest) : kAlone;
    alone_until_ = end + alone_for_;
    held_up_.store(0);
  }

  std::mutex running_;
  int64_t helpers_ = 0;
  uint32_t number_ = 0;  // of the loop
  Clock::time_point judged_, alone_until_;
  Duration alone_for_{0};
  std::atomic<Part> part_{};
  std::atomic<const void*> loop_{};
  std::atomic<int64_t> wanted_{0};          // helpers
  std::atomic<Clock::rep> held_up_{0};      // not forgiven yet
  alignas(64) std::atomic<uint64_t> left_{0};    // the loop's number (upper half) and how many parts nobody has begun
  alignas(64) std::atomic<int32_t> done_{0};     // parts
  alignas(64) std::atomic<uint32_t> called_{0};  // the number of the loop to which helpers are called
};

std::atomic<Team*> team{nullptr};  // never deleted: its helpers have no end
thread_local int64_t size = 0;

// A loop that is divided into parts. What a part throws is kept until all parts are done: it cannot leave a helper, and
// must not end a loop of which others have parts in their hands.
struct Loop {
  int64_t count, parts;
  void (*body)(const void* context, int64_t begin, int64_t end);
  const void* context;
  mutable std::exception_ptr error{};  // the first
  mutable std::atomic<bool> failed{false};

  static void part(const void* self, int64_t k) {
    const Loop& loop = *static_cast<const Loop*>(self);
    const int64_t before = std::exchange(size, 1);  // inside a part, loops run on the thread that meets them
    try {
      loop.body(loop.context, loop.count * k / loop.parts, loop.count * (k + 1) / loop.parts);
    } catch (...) {
      if (!loop.failed.exchange(true)) loop.error = std::current_exception();
    }
    size = before;
  }
};

// The calling thread's loops are from now on run by so many threads of the team, or, for 0, by PyTorch. Returns the
// number until now.
int64_t call_team(int64_t threads) {
  static std::mutex making;
  const std::lock_guard<std::mutex> lock(making);
  if (threads > 1 && !team.load()) {
    // helpers do not live on in a process that is forked
    static const int registered = pthread_atfork(nullptr, nullptr, [] {
      team.store(nullptr);
      size = 0;
    });
    TORCH_CHECK(registered == 0, "call_team: pthread_atfork failed");
    team.store(new Team);
  }
  return std::exchange(size, threads);
}

}  // namespace

int64_t team_size() { return size; }

void run_on_team(int64_t count, int64_t grain, void (*body)(const void*, int64_t, int64_t), const void* context) {
  const int64_t most = (count - 1) / std::max<int64_t>(grain, 1) + 1;
  const Loop loop{count, std::min(most, size * kPartsPerThread), body, context};
  if (!team.load()->run(size, loop.parts, Loop::part, &loop)) body(context, 0, count);
  if (loop.error) std::rethrow_exception(loop.error);
}

}  // namespace ebm

TORCH_LIBRARY_FRAGMENT(ebm_regression, m) { m.def("call_team(int threads) -> int", ebm::call_team); }

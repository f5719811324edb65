// FUSE without libfuse: mounting, receiving the descriptor from fusermount3, and waiting for requests in an event loop. The protocol
// itself is TypeScript (brick-core/fuse).
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <memory>

#include "js.h"

namespace mars {

namespace {

/**
 * (dir, type, source, options) -> descriptor of the connection, non-blocking, or -errno. Needs CAP_SYS_ADMIN; the kernel's first
 * message can be read as soon as this returns. `options` is appended to "fd=N,".
 */
Napi::Value mountFuse(const Napi::CallbackInfo& info) {
  const std::string dir = argPath(info, 0), type = argPath(info, 1), source = argPath(info, 2), options = argPath(info, 3);
  const int fd = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return failure(info.Env(), errno);
  const std::string data = "fd=" + std::to_string(fd) + "," + options;
  if (mount(source.c_str(), dir.c_str(), type.c_str(), MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, data.c_str()) == 0)
    return Napi::Number::New(info.Env(), fd);
  const int err = errno;
  close(fd);
  return failure(info.Env(), err);
}

/** (dir) -> 0 or -errno. At once, whoever still uses it: the mount leaves the tree now and ends with its last user. */
Napi::Value unmountNow(const Napi::CallbackInfo& info) {
  return answer(info.Env(), umount2(argPath(info, 0).c_str(), MNT_DETACH | UMOUNT_NOFOLLOW));
}

/** (socket) -> a descriptor that came over it, non-blocking and close-on-exec, or -errno; -ENODATA when none came. Blocks. */
Napi::Value receiveFd(const Napi::CallbackInfo& info) {
  char byte;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec iov{&byte, 1};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got;
  do {
    got = recvmsg(argInt(info, 0, "socket"), &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return failure(info.Env(), errno);
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) return failure(info.Env(), ENODATA);
  int fd;
  memcpy(&fd, CMSG_DATA(head), sizeof fd);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return Napi::Number::New(info.Env(), fd);
}

/** One descriptor that the event loop waits for. Lives until its poll handle is closed, however that came about. */
struct Watch {
  uv_poll_t poll;
  Napi::FunctionReference callback;
  std::unique_ptr<Napi::AsyncContext> context;
  napi_async_cleanup_hook_handle hook = nullptr;
  /** Where JavaScript's `close` finds this; null when it is too late. */
  std::shared_ptr<Watch*> self;
};

void closeWatch(Watch* watch) {
  if (!*watch->self) return;
  *watch->self = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&watch->poll), [](uv_handle_t* handle) {
    Watch* done = static_cast<Watch*>(handle->data);
    if (done->hook) napi_remove_async_cleanup_hook(done->hook);
    delete done;
  });
}

void onReady(uv_poll_t* poll, int, int) {
  Watch* watch = static_cast<Watch*>(poll->data);
  Napi::Env env = watch->callback.Env();
  Napi::HandleScope scope(env);
  try {
    watch->callback.MakeCallback(env.Global(), {}, *watch->context);
  } catch (const Napi::Error& error) {
    napi_fatal_exception(env, error.Value());  // becomes 'uncaughtException', like an exception in any other callback
  }
}

/**
 * (fd, callback) -> { close() }. Calls back while the descriptor can be read, again and again until it has been; errors of the
 * descriptor count as readable. The descriptor stays the caller's: close the watch first. Keeps the process alive.
 */
Napi::Value watchFd(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int fd = argInt(info, 0, "fd");
  if (!info[1].IsFunction()) throw Napi::TypeError::New(env, "callback must be a function");
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  auto* watch = new Watch;
  watch->poll.data = watch;
  if (const int err = uv_poll_init(loop, &watch->poll, fd)) {
    delete watch;
    return failure(env, -err);
  }
  watch->callback = Napi::Persistent(info[1].As<Napi::Function>());
  watch->context = std::make_unique<Napi::AsyncContext>(env, "mars:watchFd");
  watch->self = std::make_shared<Watch*>(watch);
  napi_add_async_cleanup_hook(
      env,
      [](napi_async_cleanup_hook_handle hook, void* data) {
        auto* at = static_cast<Watch*>(data);
        at->hook = hook;
        closeWatch(at);
      },
      watch, &watch->hook);
  uv_poll_start(&watch->poll, UV_READABLE, onReady);
  Napi::Object out = Napi::Object::New(env);
  out.Set("close", Napi::Function::New(
                       env, [self = watch->self](const Napi::CallbackInfo&) { if (*self) closeWatch(*self); }, "close"));
  return out;
}

}  // namespace

void initFuse(Napi::Env, Napi::Object& exports) {
  exportFunction(exports, "mountFuse", mountFuse);
  exportFunction(exports, "unmountNow", unmountNow);
  exportFunction(exports, "receiveFd", receiveFd);
  exportFunction(exports, "watchFd", watchFd);
}

}  // namespace mars

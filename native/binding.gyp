{
  # Node-API only, so one binary serves every Node version from 20 on. liburing is linked statically: the target host needs no
  # package of ours. `--mars_no_ring=1` builds everything but the ring, for hosts without liburing's headers.
  "variables": { "mars_no_ring%": 0 },
  "targets": [
    {
      "target_name": "mars",
      "sources": [
        "src/addon.cc", "src/region.cc", "src/wake.cc", "src/digest_crc.cc", "src/digest_xxh.cc", "src/digest_xxh_avx2.cc",
        "src/digest.cc", "src/digest_js.cc", "src/files.cc", "src/block.cc", "src/stamps.cc", "src/sockets.cc", "src/process.cc",
        "src/fuse.cc", "src/service.cc",
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS"],
      "cflags": ["-Wall", "-Wextra", "-Wno-missing-field-initializers", "-fvisibility=hidden"],
      "cflags!": ["-fno-exceptions", "-O3"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++14", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=gnu++17", "-O2", "-g1"],
      "conditions": [
        ["mars_no_ring==1", { "defines": ["MARS_NO_RING"], "sources": ["src/no_ring.cc"] },
          { "sources": ["src/ring.cc", "src/translate.cc", "src/inline_ops.cc", "src/inline_write.cc", "src/spin.cc", "src/ring_js.cc", "src/ring_attach.cc", "src/features.cc"],
            "libraries": ["-l:liburing.a"] }],
      ],
    },
  ],
}

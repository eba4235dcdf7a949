import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

// The page must run under `script-src 'self'; style-src 'self' 'nonce-…'`: nothing is inlined, nothing is a data: URL.
export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
    reportCompressedSize: false,
  },
  server: { strictPort: true, proxy: { '/api': 'http://127.0.0.1:3000' } },
  test: {
    environment: 'jsdom',
    include: ['tests/**/*.test.{ts,tsx}'],
    setupFiles: ['tests/setup.ts'],
    css: { include: /tokens\.css/ },
    restoreMocks: true,
  },
})

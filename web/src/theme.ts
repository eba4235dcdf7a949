/** Mantine in this page's colours: the tokens decide, Mantine's own variables point at them. */

import {
  Button,
  Modal,
  Textarea,
  TextInput,
  PasswordInput,
  Tooltip,
  createTheme,
  type CSSVariablesResolver,
  type MantineColorsTuple,
} from '@mantine/core'

const steel: MantineColorsTuple = [
  '#edf4fc',
  '#d8e6f7',
  '#b0ccef',
  '#85b0e6',
  '#79b1fb',
  '#4787d6',
  '#2f74c6',
  '#1d5fb4',
  '#17509a',
  '#10407f',
]
const night: MantineColorsTuple = [
  '#e2e8ee',
  '#c3ccd6',
  '#9aa8b6',
  '#6b7887',
  '#45525f',
  '#2b3743',
  '#202a34',
  '#151c23',
  '#11171d',
  '#0e1318',
]
const brick: MantineColorsTuple = [
  '#fdeeec',
  '#f8d8d5',
  '#f2b1ab',
  '#ff8a80',
  '#f0766b',
  '#dc4d43',
  '#c7362c',
  '#b3261e',
  '#971f18',
  '#7a1711',
]

export const theme = createTheme({
  fontFamily: 'var(--font)',
  fontFamilyMonospace: 'var(--mono)',
  colors: { steel, brick, dark: night },
  primaryColor: 'steel',
  primaryShade: { light: 7, dark: 6 },
  defaultRadius: 6,
  cursorType: 'pointer',
  respectReducedMotion: true,
  fontSizes: { xs: '12px', sm: '13px', md: '14px', lg: '16px', xl: '20px' },
  components: {
    Button: Button.extend({ defaultProps: { size: 'compact-md', fw: 550, px: 12 } }),
    TextInput: TextInput.extend({ defaultProps: { size: 'sm', withAsterisk: false } }),
    PasswordInput: PasswordInput.extend({ defaultProps: { size: 'sm', withAsterisk: false } }),
    Textarea: Textarea.extend({ defaultProps: { size: 'sm', withAsterisk: false } }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 200, fz: 12 } }),
    Modal: Modal.extend({ defaultProps: { size: 460, overlayProps: { backgroundOpacity: 0.45 } } }),
  },
})

const POINTERS = {
  '--mantine-color-body': 'var(--surface)',
  '--mantine-color-text': 'var(--text)',
  '--mantine-color-dimmed': 'var(--muted)',
  '--mantine-color-placeholder': 'var(--muted)',
  '--mantine-color-anchor': 'var(--accent)',
  '--mantine-color-error': 'var(--bad)',
  '--mantine-color-default': 'var(--surface)',
  '--mantine-color-default-hover': 'var(--sunken)',
  '--mantine-color-default-color': 'var(--text)',
  '--mantine-color-default-border': 'var(--line-strong)',
  '--mantine-color-brick-outline': 'var(--bad)',
  '--mantine-color-brick-outline-hover': 'var(--bad-soft)',
  '--mantine-color-brick-light-color': 'var(--bad)',
  '--mantine-color-brick-light-hover': 'var(--bad-soft)',
  '--mantine-color-steel-light': 'var(--accent-soft)',
  '--mantine-color-steel-light-hover': 'var(--accent-soft)',
  '--mantine-color-steel-light-color': 'var(--accent)',
  '--mantine-color-disabled': 'var(--raised)',
  '--mantine-color-disabled-color': 'var(--muted)',
}

export const variables: CSSVariablesResolver = () => ({ variables: {}, light: POINTERS, dark: POINTERS })

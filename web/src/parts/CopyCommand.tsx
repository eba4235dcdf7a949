/** The same thing on the command line: shown, and copied with one press. */

import { ActionIcon, CopyButton, Tooltip } from '@mantine/core'
import { Icon } from './Icon'
import css from './CopyCommand.module.css'

export function CopyCommand({ command }: { command: string }) {
  return (
    <span className={css.command}>
      <code>{command}</code>
      <CopyButton value={command}>
        {({ copied, copy }) => (
          <Tooltip label={copied ? 'Copied' : 'Copy'}>
            <ActionIcon variant="subtle" size={24} onClick={copy} aria-label={copied ? 'Copied' : `Copy: ${command}`}>
              <Icon sign={copied ? 'check' : 'copy'} size={13} />
            </ActionIcon>
          </Tooltip>
        )}
      </CopyButton>
    </span>
  )
}

/** The sign and the name. */

import css from './Brand.module.css'
import icon from './icon.svg'

export function Brand() {
  return (
    <span className={css.brand}>
      <img src={icon} alt="" width={22} height={22} />
      Aegis
    </span>
  )
}

import type { ComponentChildren } from "preact";

function Icon({ size, children }: { size: number; children: ComponentChildren }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox={size > 14 ? "0 0 16 16" : "0 0 14 14"}
      fill="none"
      stroke="currentColor"
      stroke-width={1.4}
      stroke-linecap="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const PlayIcon = () => (
  <Icon size={14}>
    <path d="M3.5 1.7v10.6L12 7z" fill="currentColor" stroke="none" />
  </Icon>
);
export const PauseIcon = () => (
  <Icon size={14}>
    <path d="M3 2h3v10H3zM8 2h3v10H8z" fill="currentColor" stroke="none" />
  </Icon>
);
export const PreviousIcon = () => (
  <Icon size={14}>
    <path d="M9 2.5 4.5 7 9 11.5" />
  </Icon>
);
export const NextIcon = () => (
  <Icon size={14}>
    <path d="M5 2.5 9.5 7 5 11.5" />
  </Icon>
);
export const CloseIcon = () => (
  <Icon size={14}>
    <path d="M3.5 3.5l7 7M10.5 3.5l-7 7" />
  </Icon>
);
export const ThemeIcon = () => (
  <Icon size={15}>
    <circle cx={8} cy={8} r={6} />
    <path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor" />
  </Icon>
);
export const TableIcon = () => (
  <Icon size={15}>
    <path d="M2.5 3.5h11M2.5 8h11M2.5 12.5h11M6 3.5v9" />
  </Icon>
);
export const DownloadIcon = () => (
  <Icon size={15}>
    <path d="M8 2.5v7M5 7l3 3 3-3M3 13h10" />
  </Icon>
);
export const LinkIcon = () => (
  <Icon size={15}>
    <path d="M6.5 9.5a3 3 0 0 0 4.3 0l2.3-2.3a3 3 0 0 0-4.3-4.3l-.8.8M9.5 6.5a3 3 0 0 0-4.3 0L2.9 8.8a3 3 0 0 0 4.3 4.3l.8-.8" />
  </Icon>
);
export const KeysIcon = () => (
  <Icon size={15}>
    <path d="M6 6a2 2 0 1 1 2.8 1.9C8.2 8.2 8 8.6 8 9.3M8 11.8v.1" />
    <circle cx={8} cy={8} r={6.3} />
  </Icon>
);
export const ChevronIcon = () => (
  <Icon size={13}>
    <path d="M5 3l4 4-4 4" stroke-width={2} />
  </Icon>
);
export const PinIcon = () => (
  <Icon size={13}>
    <path d="M5 1.8h4M5.6 1.8v4L4 8h6L8.4 5.8v-4M7 8v4.2" />
  </Icon>
);

// Form fields with their labels.

export interface FieldProps {
  label: string;
  name: string;
  value: string;
  onInput: (value: string) => void;
  type?: string;
  required?: boolean;
  placeholder?: string;
  maxLength?: number;
  min?: number;
  max?: number;
  step?: string;
  pattern?: string;
  autocomplete?: string;
  autofocus?: boolean;
}

export function Field({ label, value, onInput, type = "text", ...more }: FieldProps) {
  return (
    <label class="field">
      <span>
        {label}
        {more.required && <i aria-hidden="true"> *</i>}
      </span>
      <input
        type={type}
        value={value}
        spellcheck={false}
        {...more}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
    </label>
  );
}

interface SelectProps {
  label: string;
  /** Whether only screen readers get the label. */
  isLabelHidden?: boolean;
  value: string;
  options: [string, string][];
  onChange: (value: string) => void;
}

export function Select({ label, isLabelHidden, value, options, onChange }: SelectProps) {
  return (
    <label class="field">
      <span class={isLabelHidden ? "unseen" : ""}>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

{{/* What the worker and the job that creates the topics have in common. */}}

{{- define "leadscore.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "leadscore.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A property of librdkafka as a variable: dots become underscores. */}}
{{- define "leadscore.environment" -}}
- {name: LEADSCORE_KAFKA__BOOTSTRAP_SERVERS, value: {{ required "kafka.bootstrapServers: expected host:port of a broker" .Values.kafka.bootstrapServers | quote }}}
- {name: LEADSCORE_REDIS_URL, value: {{ required "redis.url: expected an address such as redis://redis:6379/0" .Values.redis.url | quote }}}
{{- range $property, $value := .Values.kafka.properties }}
- {name: LEADSCORE_KAFKA__{{ $property | replace "." "_" | upper }}, value: {{ include "leadscore.text" $value | quote }}}
{{- end }}
{{- range $variable, $value := .Values.settings }}
- {name: {{ $variable }}, value: {{ include "leadscore.text" $value | quote }}}
{{- end }}
{{- range $variable, $secret := .Values.secrets }}
{{- if hasPrefix "OTEL_" $variable }}
- name: {{ $variable }} # the SDK of OpenTelemetry reads no files
  valueFrom: {secretKeyRef: {name: {{ $secret.secret | quote }}, key: {{ $secret.key | quote }}}}
{{- else }}
- {name: {{ $variable }}_FILE, value: {{ printf "/etc/leadscore/secrets/%s/value" $variable | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "leadscore.secretMounts" -}}
{{- range $variable, $secret := .Values.secrets }}
{{- if hasPrefix "OTEL_" $variable }}{{ continue }}{{ end }}
- {name: {{ include "leadscore.volume" (printf "secret-%s" $variable) }}, mountPath: {{ printf "/etc/leadscore/secrets/%s" $variable | quote }}, readOnly: true}
{{- end }}
{{- range $name, $file := .Values.files }}
- {name: {{ include "leadscore.volume" (printf "files-%s" $name) }}, mountPath: {{ printf "/etc/leadscore/files/%s" $name | quote }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "leadscore.secretVolumes" -}}
{{- range $variable, $secret := .Values.secrets }}
{{- if hasPrefix "OTEL_" $variable }}{{ continue }}{{ end }}
- name: {{ include "leadscore.volume" (printf "secret-%s" $variable) }}
  secret: {secretName: {{ $secret.secret | quote }}, defaultMode: 288, items: [{key: {{ $secret.key | quote }}, path: value}]} # 288: 0440
{{- end }}
{{- range $name, $file := .Values.files }}
- name: {{ include "leadscore.volume" (printf "files-%s" $name) }}
  secret: {secretName: {{ $file.secret | quote }}, defaultMode: 288}
{{- end }}
{{- end }}

{{/* A value as a variable's text: Helm reads every number as a float, and would write 134217728 as 1.34217728e+08. */}}
{{- define "leadscore.text" -}}
{{ if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . | toString }}{{ end }}
{{- end }}

{{/* The name of a volume has lower-case letters, digits and dashes, and 63 of them at most. */}}
{{- define "leadscore.volume" -}}
{{ regexReplaceAll "[^a-z0-9]+" (lower .) "-" | trunc 63 | trimSuffix "-" }}
{{- end }}

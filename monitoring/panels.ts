import { BigValueTextMode } from '@grafana/grafana-foundation-sdk/common';
import {
  MappingType,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard';
import type { ValueMap } from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimelineBuilder } from '@grafana/grafana-foundation-sdk/statetimeline';
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

/** The colours of the verdicts, from good to bad. */
export const colors = ['green', 'blue', 'yellow', 'yellow', 'orange', 'red'];

/** Shows the name of the series instead of its value. */
export const named = BigValueTextMode.Name;

/** The columns of a table with the labels of one metric. `Value` stays. */
const noise = { Time: true, __name__: true, job: true };

/** Returns a query; panels number their queries A, B, … */
export function query(expr: string, legend = ''): DataqueryBuilder {
  return new DataqueryBuilder().expr(expr).legendFormat(legend);
}

/** @param width of 24 columns @param red the value from which the panel is red */
export function stat(title: string, width: number, queries: DataqueryBuilder[], red?: number): StatBuilder {
  const steps = [
    { value: null, color: 'green' },
    ...(red === undefined ? [] : [{ value: red, color: 'red' }]),
  ];
  const thresholds = new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps);
  return new StatBuilder()
    .title(title)
    .span(width)
    .height(4)
    .thresholds(thresholds)
    .targets(numbered(queries.map((each) => each.instant())));
}

/** Returns a table with the present values. */
export function table(title: string, width: number, queries: DataqueryBuilder[]): TableBuilder {
  const targets = queries.map((each) => each.instant().format(PromQueryFormat.Table));
  return new TableBuilder()
    .title(title)
    .span(width)
    .height(8)
    .transformations([{ id: 'organize', options: { excludeByName: noise } }])
    .targets(numbered(targets));
}

export function timeseries(title: string, width: number, queries: DataqueryBuilder[]): TimeseriesBuilder {
  return new TimeseriesBuilder()
    .title(title)
    .span(width)
    .height(7)
    .min(0)
    .targets(numbered(queries.map((each) => each.range())));
}

export function timeline(title: string, width: number, queries: DataqueryBuilder[]): TimelineBuilder {
  return new TimelineBuilder()
    .title(title)
    .span(width)
    .height(8)
    .targets(numbered(queries.map((each) => each.range())));
}

/** Shows the numbers 0, 1, … as texts with colours. */
export function numbers(texts: readonly string[], textColors: readonly string[]): ValueMap {
  const entries = texts.map((text, index): [string, ValueMap['options'][string]] => [
    String(index),
    { text, color: textColors[index] ?? 'text', index },
  ]);
  return { type: MappingType.ValueToText, options: Object.fromEntries(entries) };
}

function numbered(queries: DataqueryBuilder[]): DataqueryBuilder[] {
  return queries.map((each, index) => each.refId(String.fromCharCode('A'.charCodeAt(0) + index)));
}

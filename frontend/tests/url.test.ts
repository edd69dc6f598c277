import { describe, expect, it } from "vitest";
import { readAddress, thresholdLevel, writeAddress, type Address } from "../src/url";

const defaults: Address = {
  view: "network",
  layer: -1,
  cell: "",
  sample: -1,
  only: "all",
  other: "",
  othersplit: "",
  othergrouping: "",
  by: "step",
  shows: "cells",
  find: "",
  run: "0",
  split: "val",
  step: 720,
  take: 0,
  zoom: "",
  event: "",
  unit: -1,
  grouping: "true",
  measure: "margin",
  class: -1,
  pins: "",
  sort: "",
  matrix: "",
  threshold: 50,
  theme: "dark",
  axis: "log",
};

describe("address", () => {
  it("writes only what differs from the default", () => {
    expect(writeAddress(defaults, defaults)).toBe("");
    expect(writeAddress({ ...defaults, step: 120, unit: 317 }, defaults)).toBe(
      "#step=120&unit=317",
    );
    expect(writeAddress({ ...defaults, threshold: 40 }, defaults)).toBe("#threshold=0.40");
  });

  it("reads back what it wrote", () => {
    const address: Address = {
      view: "confusion",
      layer: 4,
      cell: "3,5",
      sample: 7,
      only: "wrong",
      other: "4f0c",
      othersplit: "held out",
      othergrouping: "predicted",
      by: "accuracy",
      shows: "maps",
      find: "as coat",
      run: "r/ü",
      split: "a b",
      step: 0,
      take: 2,
      zoom: "12-48.5",
      event: "switched,12,317",
      unit: 0,
      grouping: "predicted",
      measure: "variance_explained",
      class: 3,
      pins: "12,,40",
      sort: "recall",
      matrix: "alike",
      threshold: 85,
      theme: "light",
      axis: "step",
    };
    expect(readAddress(writeAddress(address, defaults))).toEqual(address);
  });

  it("leaves out what makes no sense", () => {
    expect(
      readAddress("#step=x&unit=-2&class=1.5&theme=pink&axis=&threshold=NaN&unheard=1"),
    ).toEqual({});
    expect(readAddress("")).toEqual({});
  });

  it("moves thresholds to multiples of 0.05 within 0.05 … 0.95", () => {
    expect([0, 0.33, 0.5, 1].map(thresholdLevel)).toEqual([5, 35, 50, 95]);
  });
});

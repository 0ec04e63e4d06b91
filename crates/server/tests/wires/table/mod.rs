//! One decision, whatever the door (design 1): each credential of [`rows`] is shown at each of [`doors`], and every cell
//! must have the same verdict for the same reason. A new door is one more column.

mod doors;
mod rows;
mod shapes;

use doors::Column;
use rows::Rows;

#[tokio::test]
async fn every_door_decides_alike() {
    let rows = Rows::new().await;
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for row in &rows.all {
        for column in Column::ALL {
            let Some(shown) = column.shows(row) else { continue };
            let row = &rows::Row { shown, ..row.clone() };
            let found = column.ask(&rows, row).await;
            cells += 1;
            if found.as_deref() != row.expected {
                wrong.push(format!("{} at {column:?}: {found:?} instead of {:?}", row.name, row.expected));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells of {}:\n{}", wrong.len(), cells, wrong.join("\n"));
    assert!(rows.all.len() >= 40, "{} rows", rows.all.len());
    assert!(cells > rows.all.len() * Column::ALL.len() / 4 * 3, "{cells} cells");
    // A table that never grants, or never refuses for one of the reasons, shows nothing of it.
    let expected: std::collections::BTreeSet<_> = rows.all.iter().map(|row| row.expected).collect();
    assert_eq!(expected.len(), 1 + 14, "{expected:?}");
}
